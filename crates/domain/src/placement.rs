//! Where a new machine goes: hard filters first, then the best fit among what is left.

use crate::NodeId;

/// What a server needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory in MiB.
    pub ram_mb: i64,
    /// Disk in GB.
    pub disk_gb: i64,
}

/// A node that is in the right region, open, and was not excluded.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// What is left of it, overcommit counted in.
    pub free: Size,
    /// Builds under way there.
    pub builds: i64,
    /// Builds it takes at once.
    pub builds_limit: i64,
    /// Servers of the same account that are there already.
    pub neighbours: i64,
}

/// Why no node takes the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// None is offered at all.
    #[error("no node in the region is open")]
    NoNode,
    /// All are full.
    #[error("no node in the region has room for this plan")]
    Full,
    /// There is room, but every node with room is building as much as it may.
    #[error("every node with room is busy building")]
    Busy,
}

/// Chooses the node with the fewest servers of the same account, then the one that would be left with the least memory free.
pub fn choose(candidates: &[Candidate], want: Size) -> Result<&NodeId, NoRoom> {
    if candidates.is_empty() {
        return Err(NoRoom::NoNode);
    }
    let fits = |c: &&Candidate| c.free.vcpu >= want.vcpu && c.free.ram_mb >= want.ram_mb && c.free.disk_gb >= want.disk_gb;
    let mut with_room = candidates.iter().filter(fits).peekable();
    with_room.peek().ok_or(NoRoom::Full)?;
    let best = with_room.filter(|c| c.builds < c.builds_limit).min_by_key(|c| (c.neighbours, c.free.ram_mb - want.ram_mb, c.node.clone()));
    best.map(|c| &c.node).ok_or(NoRoom::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: Size = Size { vcpu: 1, ram_mb: 1024, disk_gb: 10 };

    fn node(name: &str, ram_mb: i64, builds: i64, neighbours: i64) -> Candidate {
        Candidate { node: name.into(), free: Size { vcpu: 8, ram_mb, disk_gb: 100 }, builds, builds_limit: 2, neighbours }
    }

    #[test]
    fn the_fullest_node_that_still_fits_wins_unless_it_has_a_neighbour() {
        let nodes = [node("a", 8192, 0, 0), node("b", 2048, 0, 0), node("c", 512, 0, 0)];
        assert_eq!(choose(&nodes, WANT).unwrap().as_str(), "b");
        let nodes = [node("a", 8192, 0, 0), node("b", 2048, 0, 1)];
        assert_eq!(choose(&nodes, WANT).unwrap().as_str(), "a");
    }

    #[test]
    fn refusals_say_which_filter_left_nothing() {
        assert_eq!(choose(&[], WANT).unwrap_err(), NoRoom::NoNode);
        assert_eq!(choose(&[node("a", 512, 0, 0)], WANT).unwrap_err(), NoRoom::Full);
        assert_eq!(choose(&[node("a", 8192, 2, 0)], WANT).unwrap_err(), NoRoom::Busy);
    }
}
