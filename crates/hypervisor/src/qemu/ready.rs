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
use tokio::time::timeout;

use super::{agent::Agent, folder::Folder};
use crate::{Error, Readiness, Result};

/// The longest time for one look; nobody waits for a guest that is still starting.
const LOOK: Duration = Duration::from_secs(6);
/// Says 0 for ready and what cloud-init wrote of it, and 1 for not yet. The tiny guest has a file of its own; without cloud-init, or where it is
/// switched off, the system's own word counts.
const READY: &str = r#"
[ -f /run/ready ] && exit 0
if [ -f "/var/lib/cloud/instances/$1/boot-finished" ]; then
  for said in result status; do head -c 20000 /run/cloud-init/$said.json 2>/dev/null; echo; done
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
/// As much of a guest's complaints as anybody reads.
const COMPLAINT: usize = 300;

pub(super) async fn of(folder: &Folder, mark: &Mark) -> Readiness {
    match timeout(LOOK, ask(&folder.file("qga.sock"), &mark.to_string())).await {
        Ok(Ok(Some(said))) => complaint(&said).map_or(Readiness::Ready, Readiness::Troubled),
        // Its agent runs nothing for us, as that of the RHEL family is set up: what it says on its console must do.
        Ok(Err(Error::Permanent(_))) if finished(&folder.file("console.log")) => Readiness::Ready,
        Ok(Ok(None) | Err(_)) | Err(_) => Readiness::NotYet,
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

/// `result.json` and `status.json`, as far as they say what went wrong.
#[derive(Default, Deserialize)]
struct Said {
    v1: serde_json::Map<String, serde_json::Value>,
}

/// What cloud-init complains of, in one line that is safe to show.
fn complaint(said: &str) -> Option<String> {
    let files = said.lines().collect::<String>();
    let read = serde_json::Deserializer::from_str(&files).into_iter::<Said>().map_while(std::result::Result::ok);
    let mut complaints: Vec<String> = vec![];
    for Said { v1 } in read {
        let stages = v1.values().filter_map(|v| v.as_object());
        let errors = v1.get("errors").into_iter().chain(stages.clone().filter_map(|s| s.get("errors"))).filter_map(|e| e.as_array()).flatten();
        let recovered =
            stages.filter_map(|s| s.get("recoverable_errors")?.as_object()).flat_map(|levels| levels.values()).filter_map(|e| e.as_array()).flatten();
        for text in errors.chain(recovered).filter_map(|e| e.as_str()) {
            if !complaints.iter().any(|c| c == text) {
                complaints.push(text.to_owned());
            }
        }
    }
    let safe = |c: char| if c.is_control() || !c.is_ascii() { ' ' } else { c };
    let line: String = complaints.join("; ").chars().map(safe).take(COMPLAINT).collect();
    (!line.trim().is_empty()).then(|| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cloud_init_complains_of_is_one_bounded_line() {
        let fine =
            "{\"v1\": {\"datasource\": \"DataSourceNoCloud\",\n \"errors\": []}}\n{\"v1\": {\"stage\": null, \"init\": {\"errors\": [], \"start\": 1.5}}}\n";
        assert_eq!(complaint(fine), None);
        let twice = r#"{"v1": {"errors": ["('locale', no locale-gen)"]}} {"v1": {"modules-config": {"errors": ["('locale', no locale-gen)"]}}}"#;
        assert_eq!(complaint(twice).as_deref(), Some("('locale', no locale-gen)"));
        let degraded = r#"{"v1": {"errors": []}} {"v1": {"init": {"errors": [], "recoverable_errors": {"WARNING": ["deprecated key"]}}}}"#;
        assert_eq!(complaint(degraded).as_deref(), Some("deprecated key"));
        let hostile = format!(r#"{{"v1": {{"errors": ["\u001b[31m\u202e{}"]}}}}"#, "x".repeat(5_000));
        assert_eq!(complaint(&hostile).map(|c| (c.len(), c.is_ascii(), c.contains('\u{1b}'))), Some((298, true, false)));
        assert_eq!((complaint(""), complaint("[]"), complaint("{\"v1\": 7}")), (None, None, None));
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
