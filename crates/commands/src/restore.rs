//! After a restoration: what an operator must know and say before the house goes on.

use leasehold_domain::Timestamp;
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    nodes::Drift,
    restoration::{Issued, Restoration},
};

use crate::{CommandError, Result, commit};

/// What was numbered after the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// The last invoice and the last credit note of this year, as they were issued; none of that kind this year: `None`.
    Last {
        /// `2026-000123`
        invoice: Option<String>,
        /// `CN2026-000004`
        credit_note: Option<String>,
    },
    /// Nobody knows: a new series begins, the year followed by these letters.
    NewSeries(String),
}

/// How things stand.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The restoration.
    pub restoration: Restoration,
    /// Nodes that were not looked at since.
    pub unseen: Vec<String>,
    /// What the nodes have and the records do not, and the other way round.
    pub drift: Vec<Drift>,
    /// This year's invoices and credit notes: their series and the number that would come next.
    pub next: Vec<(String, i64)>,
}

/// How things stand; none: the books were never restored, or were released.
pub async fn standing(store: &Store) -> Result<Option<Standing>> {
    standing_of(&mut store.read().await?).await
}

async fn standing_of(tx: &mut Tx) -> Result<Option<Standing>> {
    let Some(restoration) = tx.open_restoration().await? else { return Ok(None) };
    let unseen = tx.unseen_nodes(restoration.at).await?.into_iter().map(|n| n.id.0).collect();
    let drift = tx.drift().await?;
    let mut next = Vec::new();
    for series in tx.series_now().await? {
        let number = tx.next_document(&series).await?;
        next.push((series, number));
    }
    Ok(Some(Standing { restoration, unseen, drift, next }))
}

/// Numbers that an operator may say were given out after the backup without being asked whether that is meant.
const LOST_MAX: i64 = 10_000;
/// No document has a higher number.
const NUMBER_MAX: i64 = 999_999_999;

/// Says that the books were restored. What the books that they replace had issued, as far as anybody can read them, is not issued again.
pub async fn declare(store: &Store, actor: &Actor, why: &str, issued: &Issued) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.begin_restoration(why).await?;
    tx.were_issued(issued).await?;
    tx.log(actor, "restore.begin", None, None, why).await?;
    commit(tx).await
}

/// What an operator knows and answers for when the house goes on.
#[derive(Clone, Debug)]
pub struct Release {
    /// What was numbered after the backup.
    pub numbered: Numbered,
    /// Nodes that are not waited for.
    pub without: Vec<String>,
    /// Whether machines that no row knows stay where they are.
    pub keep_orphans: bool,
    /// Whether a number far beyond what the books know is meant.
    pub sure: bool,
}

/// Lets the house go on; answers since when it stood.
pub async fn release(store: &Store, actor: &Actor, release: Release) -> Result<Timestamp> {
    let Release { numbered, without, keep_orphans, sure } = release;
    let mut tx = store.begin().await?;
    let Some(standing) = standing_of(&mut tx).await? else {
        return Err(CommandError::Refused("nothing waits for a release: the books were not restored".into()));
    };
    let unseen: Vec<&str> = standing.unseen.iter().filter(|node| !without.contains(node)).map(String::as_str).collect();
    if !unseen.is_empty() {
        let why = "is a worker running? To go on without knowing what is there: --without NODE";
        return Err(CommandError::Refused(format!("not looked at since the restoration: {}; {why}", unseen.join(", "))));
    }
    let orphans: Vec<String> = standing.drift.iter().filter(|d| d.kind == "orphan").map(|d| format!("{} on {}", d.subject, d.node_id)).collect();
    if !orphans.is_empty() && !keep_orphans {
        let why = "their addresses would be given to others while they use them: remove them at their nodes and look again (leasehold node look NAME), or say --keep-orphans";
        return Err(CommandError::Refused(format!("no row knows of {}; {why}", orphans.join(", "))));
    }
    for node in standing.unseen.iter().filter(|node| without.contains(node)) {
        tx.forget_seen(&node.as_str().into()).await?;
    }
    let new_series = match numbered {
        Numbered::Last { invoice, credit_note } => {
            for (series, said) in tx.series_now().await?.iter().zip([invoice, credit_note]) {
                number_on(&mut tx, series, said.as_deref(), sure).await?;
            }
            None
        }
        Numbered::NewSeries(letters) => Some(new_letters(letters, &standing.restoration.series)?),
    };
    tx.end_restoration(&standing.restoration, new_series.as_deref()).await?;
    tx.attended("restored", "house", &actor.name).await?;
    tx.log(actor, "restore.release", None, None, &format!("stood since {}", standing.restoration.at.human())).await?;
    commit(tx).await?;
    Ok(standing.restoration.at)
}

/// The documents of a series go on behind the last one that was issued, as it is said; none: none was.
async fn number_on(tx: &mut Tx, series: &str, said: Option<&str>, sure: bool) -> Result<()> {
    let last = said.map_or(Ok(0), |name| last_of(series, name))?;
    let known = tx.next_document(series).await? - 1;
    if last < known {
        return Err(CommandError::Refused(format!("the books themselves have {series}-{known:06}, so {series}-{last:06} was not the last")));
    }
    if last - known > LOST_MAX && !sure {
        let lost = last - known;
        return Err(CommandError::Refused(format!(
            "the books know of {series}-{known:06}, and {lost} more would count as lost for good; if that is meant: --yes"
        )));
    }
    Ok(tx.set_last_document(series, last).await?)
}

fn new_letters(letters: String, before: &str) -> Result<String> {
    if letters.is_empty() || letters.len() > 3 || !letters.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(CommandError::Invalid(format!("'{letters}' is not one to three letters A to Z")));
    }
    if *letters <= *before {
        return Err(CommandError::Refused(format!("the series '{before}' was begun at an earlier restoration; choose letters that sort behind it")));
    }
    Ok(letters)
}

fn last_of(series: &str, name: &str) -> Result<i64> {
    let number = name.strip_prefix(series).and_then(|rest| rest.strip_prefix('-')).and_then(|n| n.parse::<i64>().ok()).filter(|n| (1..=NUMBER_MAX).contains(n));
    number.ok_or_else(|| CommandError::Invalid(format!("'{name}' is no number of this year's series {series}, like {series}-000123; none was issued: none")))
}
