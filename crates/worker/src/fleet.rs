//! Open connections to nodes, one a node and setting.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use leasehold_domain::NodeId;
use leasehold_hypervisor::{Error, Hypervisor, connect};
use leasehold_store::nodes::Node;

type Open = (String, Arc<dyn Hypervisor>);

/// The nodes that this process has spoken to.
#[derive(Default)]
pub struct Fleet(Mutex<HashMap<NodeId, Open>>);

impl Fleet {
    /// The hypervisor behind a node; opened anew when its settings changed.
    pub fn node(&self, node: &Node) -> Result<Arc<dyn Hypervisor>, Error> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hypervisor)) = open.get(&node.id).filter(|(settings, _)| *settings == node.settings) {
            return Ok(Arc::clone(hypervisor));
        }
        let hypervisor = connect(&node.backend, &node.settings)?;
        open.insert(node.id.clone(), (node.settings.clone(), Arc::clone(&hypervisor)));
        Ok(hypervisor)
    }
}
