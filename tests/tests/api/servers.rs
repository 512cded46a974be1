//! Programs that watch and switch servers.

use std::time::Duration;

use leasehold_commands::coupons;
use leasehold_domain::server::Status;
use leasehold_tests::{
    App, on_both,
    web::{send, send_with, while_working},
};
use serde_json::{Value, json};

on_both!(a_program_watches_and_switches_its_server(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let account = send(&api, "GET", "/api/v1/account", &key, "").await.body;
    assert_eq!((&account["balance"], &account["currency"], &account["tier"]), (&json!("100.00"), &json!("EUR"), &json!("standard")));
    let server = app.order("web").await;
    let path = format!("/api/v1/servers/{}", server.id);
    let pending = send(&api, "GET", &path, &key, "").await.body;
    assert_eq!((&pending["status"], &pending["progress"]["stepsDone"], &pending["progress"]["stepsTotal"]), (&json!("pending"), &json!(0), &json!(9)));
    for (method, what) in [("POST", "power/stop"), ("GET", "credentials")] {
        assert_eq!(send(&api, method, &format!("{path}/{what}"), &key, "").await.status, 409, "not while it is built");
    }
    app.until_quiet().await;
    let running = send(&api, "GET", &path, &key, "").await.body;
    assert_eq!((&running["status"], &running["progress"], &running["networking"]["netmask"]), (&json!("running"), &Value::Null, &json!("255.255.255.0")));
    let billing = &running["billing"];
    assert_eq!((&billing["cycle"], &billing["price"], &billing["state"], &billing["autoRenew"]), (&json!("1m"), &json!("9.00"), &json!("active"), &json!(true)));
    let stats = send(&api, "GET", &format!("{path}/stats"), &key, "").await.body;
    assert_eq!(stats, json!({ "powerState": "POWERED_ON", "live": null }));
    let credentials = send(&api, "GET", &format!("{path}/credentials"), &key, "").await.body;
    assert_eq!((&credentials["username"], &credentials["ip"], &credentials["port"]), (&json!("root"), &running["networking"]["primaryIp"], &json!(22)));
    assert!(credentials["password"].as_str().unwrap().len() >= 16);
    let read = app.store.read().await.unwrap().activity(None, Some(server.id.as_str()), 1).await.unwrap();
    assert!(read[0].action == "server.credentials" && read[0].actor.starts_with("key:"), "{read:?}");
    let addons = send(&api, "GET", &format!("{path}/addons"), &key, "").await.body;
    assert!(addons.as_array().unwrap().iter().any(|a| a["type"] == "extra-ip" && a["active"] == json!(false)), "{addons}");
    let invoices = send(&api, "GET", "/api/v1/billing/invoices?limit=5", &key, "").await.body;
    assert_eq!((&invoices[0]["invoiceNumber"], &invoices[0]["total"], &invoices[0]["status"]), (&json!("2026-000001"), &json!("9.00"), &json!("paid")));
    let invoice = send(&api, "GET", "/api/v1/billing/invoices/2026-000001", &key, "").await.body;
    assert_eq!((&invoice["id"], &invoice["subtotal"], &invoice["discount"], &invoice["tax"]), (&invoices[0]["id"], &json!("9.00"), &json!("0.00"), &json!("0.00")));
    assert_eq!(invoice["lines"][0]["amount"], "9.00");
    let list = send(&api, "GET", "/api/v1/servers?status=running&limit=10", &key, "").await.body;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"], &list[0]["ipAddress"]), (1, &json!(server.id), &running["networking"]["primaryIp"]));
    assert_eq!(send(&api, "GET", "/api/v1/servers?page=2&limit=1", &key, "").await.body, json!([]));
    for (verb, said, after) in [("stop", "stopping", Status::Stopped), ("start", "starting", Status::Running), ("reboot", "rebooting", Status::Running)] {
        let answer = send(&api, "POST", &format!("{path}/power/{verb}"), &key, "").await;
        assert_eq!((answer.status, answer.body), (202, json!({ "status": said })));
        app.until_quiet().await;
        assert_eq!(app.status("web").await, after);
    }
    let renamed = send(&api, "PATCH", &format!("{path}/label"), &key, r#"{"label":"Web 2","more":1}"#).await;
    assert_eq!((renamed.status, &renamed.body["label"]), (200, &json!("Web 2")));
    assert_eq!(send(&api, "DELETE", &path, &key, "").await.status, 204);
    assert_eq!(send(&api, "GET", &path, &key, "").await.body["statusReason"], "terminating");
    app.until_quiet().await;
    assert_eq!(send(&api, "GET", &path, &key, "").await.status, 404, "it is gone");
    assert_eq!(send(&api, "GET", "/api/v1/servers", &key, "").await.body, json!([]));
});

on_both!(snapshots_are_two_a_server_and_one_of_them_is_where_the_disk_began(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let path = format!("/api/v1/servers/{}/snapshots", app.order("web").await.id);
    assert_eq!(send(&api, "POST", &path, &key, "").await.status, 409, "not while it is built");
    app.until_quiet().await;
    let first = send(&api, "POST", &path, &key, r#"{"name":"before the move","description":"a day before"}"#).await;
    assert_eq!((first.status, &first.body["state"], &first.body["createTime"]), (202, &json!("taking"), &Value::Null));
    assert_eq!(send(&api, "POST", &path, &key, r#"{"name":"before the move"}"#).await.status, 400, "of that name there is one");
    app.advance(Duration::from_mins(1));
    let second = send(&api, "POST", &path, &key, "").await;
    assert_eq!(second.status, 202);
    assert_eq!(send(&api, "POST", &path, &key, "").await.status, 409, "two are the most");
    app.until_quiet().await;
    let revert = format!("{path}/{}/revert", first.body["id"].as_str().unwrap());
    let current = async || {
        let all = send(&api, "GET", &path, &key, "").await.body;
        let all: Vec<_> = all.as_array().unwrap().iter().map(|n| (n["isCurrent"].as_bool().unwrap(), n["powerState"].as_str().unwrap().to_owned())).collect();
        all
    };
    let on = || "POWERED_ON".to_owned();
    assert_eq!(current().await, [(false, on()), (true, on())]);
    app.advance(Duration::from_mins(1));
    assert_eq!(send(&api, "POST", &revert, &key, "").await.status, 202);
    app.until_quiet().await;
    assert_eq!(current().await, [(true, on()), (false, on())]);
    let one = format!("{path}/{}", second.body["id"].as_str().unwrap());
    assert_eq!(send(&api, "DELETE", &one, &key, "").await.status, 202);
    app.until_quiet().await;
    assert_eq!(current().await, [(true, on())]);
    assert_eq!(send(&api, "DELETE", &one, &key, "").await.status, 404);
    for (says, body) in [("snapshot name", r#"{"name":"../x"}"#), ("description", r#"{"description":"two\nlines"}"#), ("'name'", r#"{"name":7}"#)] {
        let answer = send(&api, "POST", &path, &key, body).await;
        assert!(answer.status == 400 && answer.body["message"].as_str().unwrap().contains(says), "{answer:?}");
    }
});

on_both!(a_server_is_its_owners_whatever_others_call_theirs(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let server = app.order("web").await;
    app.until_quiet().await;
    let other = app.new_account("other@example.org", "50.00").await;
    let order = leasehold_commands::order::Order { label: Some(server.id.0.clone()), hostname: Some(server.id.0.clone()), account: other, ..app.an_order("x") };
    leasehold_commands::order::order(&app.store, &App::operator(), &order).await.unwrap();
    app.until_quiet().await;
    let path = format!("/api/v1/servers/{}", server.id);
    assert_eq!(send(&api, "GET", &format!("{path}/stats"), &key, "").await.status, 200);
    assert_eq!(send(&api, "POST", &format!("{path}/power/stop"), &key, "").await.status, 202);
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Stopped);
    let suspend = format!("/admin/v1/servers/{}/suspend", server.id);
    assert_eq!(send(&api, "POST", &suspend, &app.token().await, r#"{"kind":"abuse","reason":"spam"}"#).await.status, 202);
    app.until_quiet().await;
});

on_both!(the_name_of_an_address_goes_with_it(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let server = app.order("web").await;
    app.until_quiet().await;
    let path = format!("/api/v1/servers/{}", server.id);
    let addon = app.addon_id("extra-ip").await;
    assert_eq!(send(&api, "POST", &format!("{path}/addons"), &key, json!({ "addonId": addon }).to_string()).await.status, 201);
    app.until_quiet().await;
    let ips = send(&api, "GET", &format!("{path}/ips"), &key, "").await.body;
    let more = ips.as_array().unwrap().iter().find(|a| a["family"] == 4 && a["primary"] == json!(false)).unwrap()["ip"].as_str().unwrap().to_owned();
    assert_eq!(send(&api, "PUT", &format!("{path}/ips/{more}/ptr"), &key, r#"{"hostname":"mail.example.org"}"#).await.status, 200);
    assert_eq!(send(&api, "DELETE", &format!("{path}/addons/{addon}"), &key, "").await.status, 200);
    app.live(Duration::from_hours(24 * 40)).await;
    app.scheduler.run_due().await.unwrap();
    let named = "select count(*) from names where name is not null";
    assert_eq!(app.store.read().await.unwrap().int(named, &[]).await.unwrap(), 0, "whoever has {more} next begins anew");
});

on_both!(an_add_on_is_paid_to_the_end_of_the_period_and_ends_with_one(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let server = app.order("web").await;
    app.until_quiet().await;
    let path = format!("/api/v1/servers/{}/addons", server.id);
    let ip = send(&api, "GET", &path, &key, "").await.body.as_array().unwrap().iter().find(|a| a["type"] == "extra-ip").unwrap()["id"].clone();
    app.advance(Duration::from_hours(24 * 10));
    let wanted = json!({ "addonId": ip }).to_string();
    let added = send(&api, "POST", &path, &key, wanted.clone()).await;
    assert_eq!((added.status, &added.body["monthlyPrice"], &added.body["active"]), (201, &json!("2.00"), &json!(true)), "{added:?}");
    let charged: f64 = added.body["proratedPrice"].as_str().unwrap().parse().unwrap();
    assert!((1.3..1.4).contains(&charged), "21 of 31 days: {charged}");
    let balance = async || send(&api, "GET", "/api/v1/account", &key, "").await.body["balance"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((balance().await - (91.0 - charged)).abs() < 0.001);
    app.until_quiet().await;
    let again = send(&api, "POST", &path, &key, wanted.clone()).await;
    assert!(again.status == 400 && again.body["message"].as_str().unwrap().contains("has an add-on of the kind extra-ip already"), "{again:?}");
    assert_eq!(send(&api, "POST", &path, &key, r#"{"addonId":"nothing"}"#).await.status, 400);
    let ending = send(&api, "DELETE", &format!("{path}/{}", ip.as_str().unwrap()), &key, "").await;
    assert_eq!((ending.status, &ending.body["activeUntil"]), (200, &json!("2026-04-10T14:00:00.000Z")), "{ending:?}");
    assert_eq!(send(&api, "DELETE", &format!("{path}/nothing"), &key, "").await.status, 404);
});

on_both!(a_password_is_given_by_the_guest_and_told_once_more_to_the_same_request(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let server = app.order("web").await;
    let path = format!("/api/v1/servers/{}/password-reset", server.id);
    assert_eq!(send(&api, "POST", &path, &key, "").await.status, 409, "not while it is built");
    app.until_quiet().await;
    let headers = [("idempotency-key", "reset-1")];
    let first = while_working(app, send_with(&api, "POST", &path, &key, &headers, "")).await;
    assert_eq!((first.status, &first.body["username"]), (200, &json!("root")), "{first:?}");
    let again = send_with(&api, "POST", &path, &key, &headers, "").await;
    assert_eq!((again.status, &again.body, again.header("idempotent-replayed")), (200, &first.body, "true"));
    assert_eq!(send_with(&api, "POST", &path, &key, &headers, "{}").await.status, 422, "the same key for another body");
    let asked = app.server(&server.id).await.password_asked;
    assert_eq!(asked, 1, "the guest was asked once");
    let shown = send(&api, "GET", &format!("/api/v1/servers/{}/credentials", server.id), &key, "").await.body;
    assert_eq!(shown["password"], first.body["password"]);
});

on_both!(a_server_is_cancelled_and_paid_by_another_cycle(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let server = app.order("web").await;
    let path = format!("/api/v1/servers/{}/billing", server.id);
    assert_eq!(send(&api, "PATCH", &path, &key, r#"{"cycle":"12m"}"#).await.status, 409, "not before it is delivered");
    app.until_quiet().await;
    let changed = send(&api, "PATCH", &path, &key, r#"{"cycle":"12m","autoRenew":false}"#).await;
    assert_eq!((changed.status, &changed.body["cycle"], &changed.body["autoRenew"]), (200, &json!("12m"), &json!(false)), "{changed:?}");
    // Both or nothing.
    let bad = send(&api, "PATCH", &path, &key, r#"{"cycle":"3m","autoRenew":true}"#).await;
    assert_eq!(bad.status, 400, "there is no price for three months");
    let now = send(&api, "GET", &format!("/api/v1/servers/{}", server.id), &key, "").await.body;
    assert_eq!((&now["billing"]["cycle"], &now["billing"]["autoRenew"]), (&json!("12m"), &json!(false)));
    assert_eq!(send(&api, "PATCH", &path, &key, r#"{"cycle":"2m"}"#).await.status, 400);
});

on_both!(a_windows_server_is_signed_in_to_by_remote_desktop(app) {
    let windows = "[[template]]\nid = \"windows-2025\"\nfamily = \"windows\"\nlabel = \"Windows Server 2025\"\nimage = \"windows-2025\"\nusername = \"Administrator\"\n";
    app.import_more(windows).await;
    let key = app.key(&app.account, "*").await;
    let order = leasehold_commands::order::Order { template: "windows-2025".into(), ..app.an_order("desk") };
    let server = leasehold_commands::order::order(&app.store, &App::operator(), &order).await.unwrap();
    app.until_quiet().await;
    let shown = send(&app.api(), "GET", &format!("/api/v1/servers/{}/credentials", server.id), &key, "").await.body;
    let address = format!("{}:3389", shown["ip"].as_str().unwrap());
    assert_eq!((&shown["username"], &shown["port"], &shown["rdpAddress"]), (&json!("Administrator"), &json!(3389), &json!(address)), "{shown}");
});

on_both!(the_shop_window_shows_what_an_account_pays(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let find = |all: &Value, name: &str| all.as_array().unwrap().iter().find(|p| p["name"] == name).unwrap().clone();
    let small = find(&send(&api, "GET", "/api/v1/products", &key, "").await.body, "Small");
    assert_eq!((&small["monthlyPrice"], &small["ramGb"], &small["regions"], &small["addons"][0]["type"]), (&json!("9.00"), &json!(1.0), &json!(["fra"]), &json!("backup")));
    assert_eq!(send(&api, "GET", "/api/v1/reseller", &key, "").await.body["enabled"], false);
    leasehold_commands::partners::set(&app.store, &App::operator(), &app.account, leasehold_commands::partners::Terms::Agreed(leasehold_domain::Percent::whole(10))).await.unwrap();
    let small = find(&send(&api, "GET", "/api/v1/products", &key, "").await.body, "Small");
    assert_eq!((&small["monthlyPrice"], &small["pricePerMonth"]), (&json!("8.10"), &json!("8.10")), "a partner's price");
    let reseller = send(&api, "GET", "/api/v1/reseller", &key, "").await.body;
    assert_eq!((&reseller["enabled"], &reseller["discountOverride"], &reseller["gmv30d"]), (&json!(true), &json!(10), &json!("0.00")));
    let half = coupons::NewCoupon { code: "HALF", percent: Some(leasehold_domain::Percent::whole(50)), periods: Some(1), ..coupons::NewCoupon::default() };
    coupons::create(&app.store, &App::operator(), &half).await.unwrap();
    let path = format!("/api/v1/coupons/half?productId={}", small["id"].as_str().unwrap());
    let coupon = send(&api, "GET", &path, &key, "").await;
    assert_eq!((coupon.status, &coupon.body["discount"], &coupon.body["percent"]), (200, &json!("4.05"), &json!(50)), "{coupon:?}");
    assert_eq!(send(&api, "GET", "/api/v1/coupons/nothing", &key, "").await.status, 404);
    for _ in 0..18 {
        send(&api, "GET", "/api/v1/coupons/nothing", &key, "").await;
    }
    let guessing = send(&api, "GET", "/api/v1/coupons/half", &key, "").await;
    assert!(guessing.status == 429 && !guessing.header("retry-after").is_empty(), "who guesses is stopped: {guessing:?}");
    let rule = send(&api, "GET", "/api/v1/public/affiliates/rule", "", "").await.body;
    assert_eq!(rule, json!({ "enabled": false, "trigger": "first_deposit", "rewardType": "percent", "rewardAmount": "0" }));
    app.import_more("[affiliates]\nenabled = true\ntrigger = \"every_deposit\"\nreward_type = \"fixed\"\nreward_amount = \"2.50\"\n").await;
    let rule = send(&api, "GET", "/api/v1/public/affiliates/rule", "", "").await.body;
    assert_eq!(rule, json!({ "enabled": true, "trigger": "every_deposit", "rewardType": "fixed", "rewardAmount": "2.50" }));
});

on_both!(what_was_paid_is_listed_and_written(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let server = app.order("web").await;
    app.until_quiet().await;
    app.advance(Duration::from_mins(1));
    app.top_up(&app.account, "5.00").await;
    let all = send(&api, "GET", "/api/v1/billing/transactions", &key, "").await.body;
    let row = |n: usize| [&all[n]["type"], &all[n]["amount"], &all[n]["balanceAfter"]].map(|v| v.as_str().unwrap().to_owned());
    assert_eq!([row(0), row(1), row(2)], [["top_up", "5.00", "96.00"], ["order", "-9.00", "91.00"], ["top_up", "100.00", "100.00"]].map(|r| r.map(str::to_owned)));
    let second = send(&api, "GET", "/api/v1/billing/transactions?page=2&limit=1", &key, "").await.body;
    assert_eq!((second.as_array().unwrap().len(), &second[0]), (1, &all[1]));
    let pdf = send(&api, "GET", "/api/v1/billing/invoices/2026-000001.pdf", &key, "").await;
    assert_eq!((pdf.status, pdf.header("content-type")), (200, "application/pdf"));
    assert!(pdf.bytes.starts_with(b"%PDF-1."));
    let log = send(&api, "GET", &format!("/api/v1/servers/{}/activity", server.id), &key, "").await.body;
    let first = log.as_array().unwrap().last().unwrap();
    assert_eq!((&first["action"], &first["by"], &first["detail"]), (&json!("server.order"), &json!("operator"), &Value::Null));
});
