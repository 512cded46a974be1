//! Whether a guest has set itself up, and what went wrong with that.
//!
//! cloud-init's own word, `cloud-init status`, is no measure: one module that failed makes it say "error" for good on a guest that is
//! fine, and it takes seconds. That the first boot is over is a file; what went wrong stands in two others.

use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use leasehold_domain::Mark;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    agent::{self, Agent},
    folder::Folder,
};
use crate::{Error, Readiness, Result};

/// The longest time for one look; nobody waits for a guest that is still starting.
const LOOK: Duration = Duration::from_secs(6);
/// Says 0 for ready and what cloud-init wrote of it, and 1 for not yet. The tiny guest has a file of its own; without cloud-init, or where it is
/// switched off, the system's own word counts.
const READY: &str = r#"
[ -f /run/ready ] && exit 0
if [ -f "/var/lib/cloud/instances/$1/boot-finished" ]; then
  for said in result status; do tr -d '\n' < /run/cloud-init/$said.json 2>/dev/null | head -c 50000; echo; done
  exit 0
fi
if command -v cloud-init >/dev/null && ! [ -e /run/cloud-init/disabled ] && ! [ -e /etc/cloud/cloud-init.disabled ]; then exit 1; fi
command -v systemctl >/dev/null || exit 0
case $(systemctl is-system-running) in running | degraded) exit 0 ;; esac
exit 1
"#;
/// How cloud-init ends its last line on the console.
const FINISHED: &str = " finished at ";
/// As much of the console's end as is looked at.
const CONSOLE: u64 = 64 << 10;
/// What of recovered errors is worth a person's time; notices of what is old-fashioned are not.
const LEVELS: &[&str] = &["WARNING", "ERROR", "CRITICAL"];

pub(super) async fn of(folder: &Folder, mark: &Mark) -> Readiness {
    match timeout(LOOK, ask(&folder.file("qga.sock"), &mark.to_string())).await {
        Ok(Ok(Some(said))) => complaint(&said).map_or(Readiness::Ready, Readiness::Troubled),
        // Its agent runs nothing for us, as that of the RHEL family is set up: what it says on its console must do.
        Ok(Err(Error::Permanent(_))) if finished(&folder.file("console.log")) => Readiness::Ready,
        Ok(Ok(None)) => Readiness::NotYet { answers: true },
        Ok(Err(_)) | Err(_) => Readiness::NotYet { answers: false },
    }
}

async fn ask(socket: &Path, instance: &str) -> Result<Option<String>> {
    let ran = Agent::connect(socket).await?.shell(READY, &[instance]).await?;
    Ok(ran.filter(|ran| ran.code == 0).map(|ran| ran.out))
}

fn finished(console: &Path) -> bool {
    let tail = || {
        let mut file = std::fs::File::open(console)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(end.saturating_sub(CONSOLE)))?;
        let mut tail = vec![];
        file.take(CONSOLE).read_to_end(&mut tail).map(|_| tail)
    };
    let tail = tail().unwrap_or_default();
    String::from_utf8_lossy(&tail).lines().any(|line| line.contains("Cloud-init v.") && line.contains(FINISHED))
}

/// `result.json` or `status.json`, as far as they say what went wrong.
#[derive(Default, Deserialize)]
struct Said {
    v1: serde_json::Map<String, Value>,
}

impl Said {
    fn errors(&self) -> Vec<String> {
        let stages = || self.v1.values().filter_map(Value::as_object);
        let errors = self.v1.get("errors").into_iter().chain(stages().filter_map(|s| s.get("errors")));
        let recovered = stages().filter_map(|s| s.get("recoverable_errors")?.as_object());
        let recovered = recovered.flat_map(|levels| LEVELS.iter().filter_map(|level| levels.get(*level)));
        errors.chain(recovered).filter_map(Value::as_array).flatten().filter_map(|e| e.as_str().map(str::to_owned)).collect()
    }
}

/// What cloud-init complains of, in one line that is safe to show; a file a line.
fn complaint(said: &str) -> Option<String> {
    let mut complaints: Vec<String> = vec![];
    for file in said.lines().filter(|file| !file.trim().is_empty()) {
        // What is too long to be read whole is hardly a sign of health.
        let unreadable = |_| vec!["cloud-init's report in /run/cloud-init is too long or unreadable".to_owned()];
        let errors = serde_json::from_str::<Said>(file).map_or_else(unreadable, |said| said.errors());
        for text in errors {
            if !complaints.contains(&text) {
                complaints.push(text);
            }
        }
    }
    let line = agent::one_line(&complaints.join("; "));
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cloud_init_complains_of_is_one_bounded_line() {
        let fine =
            "{\"v1\": {\"datasource\": \"DataSourceNoCloud\", \"errors\": []}}\n{\"v1\": {\"stage\": null, \"init\": {\"errors\": [], \"start\": 1.5}}}\n";
        assert_eq!(complaint(fine), None);
        let twice = r#"{"v1": {"errors": ["('locale', no locale-gen)"]}}
{"v1": {"modules-config": {"errors": ["('locale', no locale-gen)"]}}}"#;
        assert_eq!(complaint(twice).as_deref(), Some("('locale', no locale-gen)"));
        let degraded = r#"{"v1": {"errors": []}}
{"v1": {"init": {"errors": [], "recoverable_errors": {"DEPRECATED": ["old key"], "WARNING": ["no package"]}}}}"#;
        assert_eq!(complaint(degraded).as_deref(), Some("no package"));
        let hostile = format!(r#"{{"v1": {{"errors": ["\u001b[31m\u202e{}"]}}}}"#, "x".repeat(5_000));
        assert_eq!(complaint(&hostile).map(|c| (c.len(), c.is_ascii(), c.contains('\u{1b}'))), Some((299, true, false)));
        assert_eq!(complaint("\n\n"), None);
        for cut in ["[]", "{\"v1\": 7}", "{\"v1\": {\"errors\": [\"a"] {
            assert!(complaint(cut).is_some_and(|c| c.contains("unreadable")), "{cut}");
        }
    }

    #[test]
    fn the_console_says_that_the_first_boot_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let console = dir.path().join("console.log");
        assert!(!finished(&console));
        std::fs::write(&console, [&vec![0xff; 200_000][..], b"\r\n[   42.1] cloud-init[511]: Cloud-init v. 23.4 finished at Sat, 28 Nov 2026\r\n"].concat())
            .unwrap();
        assert!(finished(&console));
    }
}
