//! The accounts API of Cloud 66.

use leasehold_commands::{CommandError, machines};
use leasehold_store::machines::Registration;
use leasehold_tests::{
    on_both,
    web::{send, send_with},
};
use serde_json::{Value, json};

on_both!(a_person_sees_the_accounts_that_it_belongs_to(app) {
    app.order("web").await;
    app.until_quiet().await;
    let second = app.new_account("ada@example.org", "10.00").await;
    let stranger = app.new_account("other@example.org", "10.00").await;
    let (api, key) = (app.api(), app.key(&app.account, "users").await);
    let get = async |path: &str| send(&api, "GET", &format!("/api/3{path}"), &key, "").await;
    let all = get("/accounts").await.body;
    assert_eq!((&all["count"], &all["pagination"]), (&json!(2), &json!({ "previous": null, "next": null, "current": 1, "per_page": 30, "count": 2, "pages": 1 })));
    let own = &all["response"][0];
    let token = own["server_registration_script"].as_str().unwrap().rsplit('/').next().unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(own["server_registration_script"], format!("curl -fsSL http://127.0.0.1:8066/register/{token} | sh"));
    assert_eq!((&own["owner"], &own["friendly_name"], &own["unmanaged_servers"]), (&json!("ada@example.org"), &json!("Ada Lovelace"), &Value::Null));
    assert_eq!((&own["stack_count"], &own["used_clouds"], &own["current_account"]), (&json!(1), &json!(["simulated"]), &json!(true)));
    assert!(own["id"].is_i64() && own["created_at_iso"].is_string() && own["updated_at_iso"].is_string() && own["configstore_namespace"].is_string(), "{own}");
    assert_eq!((&all["response"][1]["current_account"], &all["response"][1]["server_registration_script"]), (&json!(false), &Value::Null));
    let page = get("/accounts?page=2&per_page=1").await.body;
    assert_eq!((&page["response"][0]["id"].to_string(), &page["pagination"]["previous"], &page["pagination"]["next"], &page["pagination"]["pages"]), (&second, &json!(1), &Value::Null, &json!(2)));
    for (status, code, path) in [
        (400, "invalid_request", "/accounts?page=0".to_owned()),
        (400, "invalid_request", format!("/accounts/{second}?include_servers=true")),
        (400, "invalid_request", "/accounts/x".into()),
        (404, "not_found", format!("/accounts/{stranger}")),
        (404, "not_found", "/nothing".into()),
    ] {
        let refused = get(&path).await;
        assert!(refused.status == status && refused.body["error"] == code && refused.body["error_description"].is_string(), "{path}: {refused:?}");
    }
    assert_eq!(send(&api, "POST", "/admin/v1/accounts/1002/freeze", &app.token().await, "").await.status, 200);
    let restricted = get(&format!("/accounts/{second}")).await;
    assert!(restricted.status == 400 && restricted.body["error_description"].as_str().unwrap().contains("restricted"), "{restricted:?}");

    // A machine elsewhere tells of itself, twice.
    let told = async |token: &str, body: &str| send_with(&api, "POST", &format!("/register/{token}"), "", &[("content-type", "application/x-www-form-urlencoded")], body.to_owned()).await;
    let machine = "id=4f&hostname=db-1&vendor=QEMU&addresses=192.0.2.7+2001%3Adb8%3A%3A7";
    assert_eq!((told(&token, machine).await.bytes, told(&token, &machine.replace("db-1", "db-2")).await.bytes), (b"db-1 is listed.\n".to_vec(), b"db-2 is up to date.\n".to_vec()));
    let shown = get(&format!("/accounts/{}?include_servers=true", app.account)).await.body["response"]["unmanaged_servers"].clone();
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["name"], &shown[0]["vendor"]), (1, &json!("db-2"), &json!("QEMU")));
    let altered = token.replace(&token[token.len() - 1..], "x");
    for (status, token, body) in [(404, altered.as_str(), machine), (404, "x", machine), (404, &format!("{second}-{}", &token[5..]), machine), (400, &token, "id=1"), (400, &token, "id=1&hostname=a%0Ab&vendor=x")] {
        assert_eq!(told(token, body).await.status, status, "{token} {body}");
    }
});

on_both!(an_account_has_a_thousand_machines_elsewhere_and_each_goes_on_telling(app) {
    let account = app.account_id(&app.account).await;
    let mut tx = app.store.begin().await.unwrap();
    for n in 0..1000 {
        let id = format!("m{n}");
        tx.register_machine(&account, &Registration { machine: &id, name: &id, vendor: "QEMU", addresses: "" }).await.unwrap();
    }
    let token = tx.registration_token(&account).await.unwrap();
    tx.commit().await.unwrap();
    let tell = async |id: &str| {
        let new = Registration { machine: id, name: "again", vendor: "QEMU", addresses: "" };
        machines::register(&app.store, "test", &token, &new).await
    };
    assert!(!tell("m7").await.unwrap(), "known");
    assert!(matches!(tell("one more").await, Err(CommandError::Refused(_))));
});

on_both!(a_one_time_password_signs_its_person_in_once(app) {
    let (api, key) = (app.api(), app.key(&app.account, "users").await);
    let made = send(&api, "POST", "/api/3/accounts/otp", &key, "").await;
    let otp = made.body["response"]["otp"].as_str().unwrap();
    assert_eq!((made.status, &made.body["response"]["ok"], otp.len() >= 48), (200, &json!(true), true));
    let used = send(&api, "GET", &format!("/sso/otp/{otp}"), "", "").await;
    assert!(used.status == 200 && String::from_utf8(used.bytes).unwrap().contains("ada@example.org"));
    assert_eq!(send(&api, "GET", &format!("/sso/otp/{otp}"), "", "").await.status, 404, "once");
    let late = send(&api, "POST", "/api/3/accounts/otp", &key, "").await.body["response"]["otp"].as_str().unwrap().to_owned();
    app.advance(std::time::Duration::from_mins(6));
    assert_eq!(send(&api, "GET", &format!("/sso/otp/{late}"), "", "").await.status, 404, "soon");
});
