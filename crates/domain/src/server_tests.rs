use proptest::prelude::*;

use super::*;

/// The table as it is printed in the documentation.
fn table() -> String {
    let mut out = String::from("| status | event | becomes |\n|---|---|---|\n");
    for from in Status::ALL {
        for event in Event::ALL {
            if let Ok(to) = transition(*from, *event) {
                out.push_str(&format!("| {from} | {event} | {to} |\n"));
            }
        }
    }
    out
}

#[test]
fn the_table_is_what_the_documentation_shows() {
    insta::assert_snapshot!("server_table", table());
    let docs = include_str!("../../../docs/server.md");
    assert!(docs.contains(table().trim()), "docs/server.md shows another table:\n{}", table());
}

#[test]
fn an_illegal_transition_names_both() {
    let error = transition(Status::Terminated, Event::PoweredOn).unwrap_err();
    assert_eq!(error.to_string(), "a server that is terminated cannot take the event powered_on");
}

fn facts() -> impl Strategy<Value = Facts> {
    let pick = |n: usize| 0..n;
    (pick(Status::ALL.len()), pick(Goal::ALL.len()), any::<[bool; 7]>(), pick(9), (pick(3), pick(3), pick(3)), pick(4)).prop_map(
        |(status, goal, bits, cursor, (power, link, held), snapshot)| {
            let status = Status::ALL[status];
            let build = if bits[0] { BuildKind::Reinstall } else { BuildKind::First };
            let building = status == Status::Building || (status == Status::Pending && build == BuildKind::Reinstall);
            let first = usize::from(build == BuildKind::First);
            Facts {
                status,
                goal: Goal::ALL[goal],
                held: Means::ALL.get(held).copied(),
                build,
                // The retry of a reinstall waits before its first step; a build under way may be anywhere after placing.
                cursor: building.then(|| if status == Status::Pending { Step::CreateDisk } else { build.steps()[cursor.max(first)] }),
                placed: bits[2] || !matches!(status, Status::Pending | Status::Failed | Status::Terminated),
                absent: bits[3] && matches!(status, Status::Failed | Status::Terminated | Status::Pending),
                power: [None, Some(Power::On), Some(Power::Off)][power],
                link: Link::ALL.get(link).copied(),
                reboot_due: bits[4],
                password_due: bits[5],
                addresses_due: bits[6],
                snapshot_due: SnapshotWork::ALL.get(snapshot).copied(),
            }
        },
    )
}

/// What a finished step does to the facts, as the worker records it.
fn done(step: Step, mut s: Facts) -> Facts {
    let event = event_of(step, &s);
    if let Some(event) = event {
        s.status = transition(s.status, event).unwrap_or_else(|e| panic!("{step} on {s:?}: {e}"));
    }
    match step {
        Step::Place => (s.placed, s.absent) = (true, false),
        Step::Destroy => s.absent = true,
        Step::Release => (s.placed, s.absent) = (false, false),
        Step::Boot | Step::PowerOn => s.power = Some(Power::On),
        Step::PowerOff => s.power = Some(Power::Off),
        Step::CutNetwork => s.link = Some(Link::Down),
        Step::RestoreNetwork => s.link = Some(Link::Up),
        Step::Reboot => s.reboot_due = false,
        Step::ResetPassword => s.password_due = false,
        Step::SetAddresses => s.addresses_due = false,
        Step::TakeSnapshot | Step::DropSnapshot => s.snapshot_due = None,
        // It is switched off and on on the way.
        Step::RevertSnapshot => (s.snapshot_due, s.power) = (None, None),
        _ => {}
    }
    let due = s.cursor.is_none() || s.cursor == Some(step);
    if due && s.build.steps().contains(&step) && matches!(s.status, Status::Building | Status::Pending) {
        s.cursor = s.build.after(step);
    }
    if step == Step::PowerOff && s.status == Status::Building && s.cursor.is_some_and(|c| !s.build.is_before_boot(c)) {
        s.cursor = Some(Step::Boot);
    }
    s
}

proptest! {
    #[test]
    fn every_server_comes_to_rest_where_it_should(start in facts()) {
        let mut s = start;
        let mut steps = 0;
        while let Some(step) = next_step(&s) {
            s = done(step, s);
            steps += 1;
            prop_assert!(steps < 24, "does not come to rest: {start:?} at {s:?}");
        }
        let right = match (s.goal, s.held.is_some()) {
            (Goal::Terminated, _) => s.status == Status::Terminated && !s.placed,
            (_, true) => matches!(s.status, Status::Suspended | Status::Failed | Status::Building | Status::Pending | Status::Terminated),
            (Goal::Running, _) => matches!(s.status, Status::Running | Status::Failed | Status::Terminated),
            (Goal::Stopped, _) => matches!(s.status, Status::Stopped | Status::Failed | Status::Terminated),
        };
        prop_assert!(right, "{start:?} came to rest at {s:?}");
        let booting = s.cursor.is_some_and(|c| !s.build.is_before_boot(c));
        let power = match s.status {
            Status::Running => Some(Power::On),
            Status::Stopped => Some(Power::Off),
            Status::Suspended if s.held == Some(Means::PowerOff) => Some(Power::Off),
            Status::Building if s.held.is_some() && booting => Some(Power::Off),
            _ => s.power,
        };
        prop_assert!(s.power == power, "{start:?} came to rest with another power than is known at {s:?}");
        let link = match s.status {
            Status::Running | Status::Stopped => Some(Link::Up),
            Status::Suspended if s.held == Some(Means::CutNetwork) => Some(Link::Down),
            _ => s.link,
        };
        prop_assert!(s.link == link, "{start:?} came to rest with another network at {s:?}");
    }

    #[test]
    fn a_hold_never_lets_a_machine_be_switched_on(s in facts()) {
        prop_assume!(s.held.is_some());
        prop_assert!(!matches!(next_step(&s), Some(Step::Boot | Step::PowerOn | Step::Reboot | Step::RestoreNetwork)));
    }

    #[test]
    fn nobody_is_told_that_a_server_is_back_before_its_network_is(s in facts()) {
        prop_assume!(s.goal != Goal::Terminated);
        let link = s.link.filter(|link| *link == Link::Down);
        let s = Facts { status: Status::Suspended, held: None, link, ..s };
        prop_assert!(next_step(&s) == Some(Step::RestoreNetwork) && event_of(Step::RestoreNetwork, &s).is_none());
    }

    #[test]
    fn what_is_delivered_is_never_destroyed_unless_asked(s in facts()) {
        prop_assume!(s.goal != Goal::Terminated && (s.build == BuildKind::Reinstall || matches!(s.status, Status::Running | Status::Stopped | Status::Suspended)));
        prop_assume!(s.status != Status::Terminated);
        prop_assert!(next_step(&s) != Some(Step::Destroy));
    }
}

#[test]
fn a_step_is_given_up_only_when_its_limits_are_spent() {
    let now = Timestamp::from_millis(1_000);
    let limits = |attempt, deadline| Limits { attempt, attempts: 8, deadline: Some(Timestamp::from_millis(deadline)) };
    let retry = || Outcome::Retry("busy".into());
    assert_eq!(judge(retry(), limits(7, 2_000), now), Verdict::Again("busy".into()));
    assert!(matches!(judge(retry(), limits(8, 2_000), now), Verdict::GiveUp(_)));
    assert!(matches!(judge(retry(), limits(1, 1_000), now), Verdict::GiveUp(_)));
    assert_eq!(judge(Outcome::Done, limits(8, 0), now), Verdict::Advance, "what is done is done, however late");
    assert_eq!(judge(Outcome::Wait(now), limits(8, 2_000), now), Verdict::Snooze(now), "a wait is no attempt");
}
