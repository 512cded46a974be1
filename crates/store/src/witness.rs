//! What a process knows to be in the books, since it saw it committed: books that lack it are older. Nodes know nothing of a renewal or a payment.

use std::collections::VecDeque;

use leasehold_domain::Timestamp;

use crate::{Result, Tx, Word, args};

/// So many are remembered: a standby lacks the last of what was committed.
const LAST: usize = 256;

/// Something that was committed and that no honest books take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// A sign of life of this process, and how many it gave.
    Beat { process: String, beats: i64 },
    /// A movement of money.
    Transfer { reference: String },
    /// A document, by its id: another may have its number in other books.
    Document { id: String, name: String },
}

/// The last that was committed, the newest last, each with its time.
#[derive(Debug, Default)]
pub(crate) struct Witness(VecDeque<(Timestamp, Committed)>);

impl Witness {
    pub(crate) fn saw(&mut self, at: Timestamp, what: impl IntoIterator<Item = Committed>) {
        for committed in what {
            // Of a sign of life, the last says it all; two may be seen in the other order.
            if matches!(committed, Committed::Beat { beats, .. } if beats < self.beats()) {
                continue;
            }
            let is_newer = |known: &Committed| matches!((known, &committed), (Committed::Beat { .. }, Committed::Beat { .. })) || *known == committed;
            self.0.retain(|(_, known)| !is_newer(known));
            self.0.push_back((at, committed));
            if self.0.len() > LAST
                && let Some(oldest) = self.0.iter().position(|(_, known)| !matches!(known, Committed::Beat { .. }))
            {
                self.0.remove(oldest);
            }
        }
    }

    /// How many signs of life this process knows that it gave.
    pub(crate) fn beats(&self) -> i64 {
        self.0.iter().find_map(|(_, known)| if let Committed::Beat { beats, .. } = known { Some(*beats) } else { None }).unwrap_or(0)
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

    /// Has the house stand still where these books lack what this process saw committed; what was seen before a restoration is its operator's. Says what.
    pub async fn compare_with_memory(&mut self) -> Result<Option<String>> {
        let trust = self.store.trust().clone();
        if trust.word() == Word::Nobodys {
            return Ok(None);
        }
        // With the connection that this transaction has, which may lead to another server than the last.
        trust.connected_to(&self.answering().await?);
        if !trust.is_doubted() {
            return Ok(None);
        }
        let restored = self.restoration().await?.map(|r| r.at);
        let seen = trust.witness().since(restored);
        for (at, committed) in seen {
            let proof = match committed {
                // A row that is gone was forgotten, by one who thought us dead.
                Committed::Beat { process, beats } => {
                    let fewer = "select count(*) from processes where name = $1 and beats < $2";
                    (self.int(fewer, args![&process, beats]).await? > 0).then(|| format!("the process {process} knows that it was written down at {at}"))
                }
                Committed::Transfer { reference } => {
                    (!self.is_booked(&reference).await?).then(|| format!("a process has seen the movement {reference} booked at {at}"))
                }
                Committed::Document { id, name } => {
                    let is_there = self.int("select count(*) from invoices where id = $1", args![id]).await? > 0;
                    (!is_there).then(|| format!("a process has seen the document {name} issued at {at}"))
                }
            };
            if let Some(proof) = proof {
                self.books_are_old(&proof).await?;
                return Ok(Some(proof));
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

    fn beat(beats: i64) -> Committed {
        Committed::Beat { process: "a".into(), beats }
    }

    fn transfer(n: i64) -> Committed {
        Committed::Transfer { reference: n.to_string() }
    }

    #[test]
    fn the_newest_sign_of_life_is_remembered_and_nothing_twice() {
        let mut witness = Witness::default();
        assert_eq!(witness.beats(), 0);
        witness.saw(at(1), [transfer(1), transfer(2), beat(1)]);
        witness.saw(at(2), [transfer(1), beat(2)]);
        assert_eq!(witness.since(None), [(at(1), transfer(2)), (at(2), transfer(1)), (at(2), beat(2))]);
        witness.saw(at(3), [beat(1)]);
        assert_eq!((witness.since(Some(at(1))).len(), witness.beats()), (2, 2));
    }

    #[test]
    fn it_forgets_the_oldest() {
        let mut witness = Witness::default();
        witness.saw(at(1), [beat(7)]);
        witness.saw(at(1), (0..300).map(transfer));
        assert_eq!(witness.since(None)[..2], [(at(1), beat(7)), (at(1), transfer(45))]);
    }
}
