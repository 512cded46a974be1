//! `leasehold doctor`

use leasehold_domain::Dice;
use leasehold_notifier::{Parcel, Rendered, Sent};
use leasehold_store::Clock;
use serde_json::json;

use super::Context;
use crate::{
    config,
    doctor::{self, State},
    exit::Failure,
    output::show,
};

pub(super) async fn run(c: &Context, send_test_mail: Option<String>) -> Result<(), Failure> {
    let configured = config::load(&c.cli.config)?;
    if let Some(to) = send_test_mail {
        return send(&configured, to).await;
    }
    let findings = doctor::examine(&configured).await;
    let broken = findings.iter().filter(|f| f.state == State::Broken).count();
    show(c.json(), &json!({ "broken": broken, "findings": findings }), || {
        for f in &findings {
            say!("{:<7} {:<14} {}", f.state.word(), f.check, f.says);
            if let Some(mend) = &f.mend {
                say!("{:>22} {mend}", "->");
            }
        }
    });
    match broken {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 finding must be mended".into())),
        n => Err(Failure::Failed(format!("{n} findings must be mended"))),
    }
}

/// The only thing that a doctor does: one mail, when asked to.
async fn send(configured: &config::Config, to: String) -> Result<(), Failure> {
    let outbox = configured.mail.outbox()?;
    let text = "This mail was sent by: leasehold doctor --send-test-mail\nIf you read it, mail works.\n";
    let rendered = Rendered { subject: "Leasehold test mail".into(), text: text.into(), html: format!("<p>{}</p>", text.replace('\n', "<br>")) };
    let date = Clock::system().now();
    let message_id = format!("<{}@leasehold.test>", Dice::from_os().uuid(date));
    match outbox.send(&Parcel { to: to.clone(), message_id, date, rendered, attachment: None }).await {
        Sent::Accepted => {
            say!("the mail server took a test mail to {to}");
            Ok(())
        }
        Sent::Retry(why) => Err(Failure::TryAgain(format!("not taken, may be later: {why}"))),
        Sent::Refused(why) => Err(Failure::Failed(format!("refused: {why}"))),
        Sent::Ambiguous(why) => Err(Failure::Failed(format!("may or may not have been taken: {why}"))),
    }
}
