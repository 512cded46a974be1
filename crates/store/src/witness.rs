//! What a process knows to be in the books, since it saw it committed: books that lack it are older. Nodes know nothing of a renewal or a payment.

use std::collections::VecDeque;

use leasehold_domain::Timestamp;

use crate::{Result, Tx, args};

/// So many are remembered: a standby lacks the last of what was committed.
const LAST: usize = 256;

/// Something that was committed and that no honest books take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// A sign of life of this process.
    Beat { process: String },
    /// A movement of money.
    Transfer { reference: String },
    /// The number that comes next in a series of documents.
    Next { series: String, no: i64 },
}

/// The last that was committed, the newest last, each with its time.
#[derive(Debug, Default)]
pub(crate) struct Witness(VecDeque<(Timestamp, Committed)>);

impl Witness {
    pub(crate) fn saw(&mut self, at: Timestamp, what: impl IntoIterator<Item = Committed>) {
        for committed in what {
            // Of a sign of life, and of a series, the newest says it all.
            self.0.retain(|(_, known)| match (known, &committed) {
                (Committed::Beat { .. }, Committed::Beat { .. }) => false,
                (Committed::Next { series, no }, Committed::Next { series: s, no: n }) => series != s || no > n,
                _ => true,
            });
            self.0.push_back((at, committed));
            if self.0.len() > LAST {
                self.0.pop_front();
            }
        }
    }

    /// What was seen after this.
    fn since(&self, at: Option<Timestamp>) -> Vec<(Timestamp, Committed)> {
        self.0.iter().filter(|(seen, _)| at.is_none_or(|at| *seen > at)).cloned().collect()
    }
}

impl Tx {
    /// Notes what this transaction writes, to be remembered once it is committed.
    pub(crate) fn will_have(&mut self, committed: Committed) {
        self.committed.push(committed);
    }

    /// Something that this process saw committed and that is not in these books, if there is such a thing; what was seen before a restoration is its
    /// operator's.
    pub async fn lacks(&mut self) -> Result<Option<String>> {
        let restored = self.restoration().await?.map(|r| r.at);
        let seen = self.store.trust().witness().since(restored);
        for (at, committed) in seen {
            let is_there = match &committed {
                // A row that is gone was forgotten, by one who thought us dead.
                Committed::Beat { process } => self.int("select count(*) from processes where name = $1 and seen_at < $2", args![process, at]).await? == 0,
                Committed::Transfer { reference } => self.is_booked(reference).await?,
                Committed::Next { series, no } => self.next_document(series).await? >= *no,
            };
            if !is_there {
                return Ok(Some(match committed {
                    Committed::Beat { process } => format!("the process {process} knows that it was written down at {at}"),
                    Committed::Transfer { reference } => format!("a process has seen the movement {reference} booked at {at}"),
                    Committed::Next { series, no } => format!("a process has seen the number {series}-{:06} given out", no - 1),
                }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn next(series: &str, no: i64) -> Committed {
        Committed::Next { series: series.into(), no }
    }

    #[test]
    fn the_newest_of_a_kind_is_remembered() {
        let mut witness = Witness::default();
        witness.saw(at(1), [next("2026", 5), next("CN2026", 2), Committed::Beat { process: "a".into() }]);
        // Two commits may be seen in the other order.
        witness.saw(at(3), [next("2026", 9)]);
        witness.saw(at(2), [next("2026", 7), Committed::Beat { process: "a".into() }]);
        let seen = witness.since(Some(at(1)));
        assert_eq!(seen, [(at(3), next("2026", 9)), (at(2), next("2026", 7)), (at(2), Committed::Beat { process: "a".into() })]);
        assert_eq!(witness.since(None).len(), 4);
    }

    #[test]
    fn it_forgets_the_oldest() {
        let mut witness = Witness::default();
        witness.saw(at(1), (0..300).map(|n| Committed::Transfer { reference: n.to_string() }));
        assert_eq!(witness.since(None).first().unwrap().1, Committed::Transfer { reference: "44".into() });
    }
}
