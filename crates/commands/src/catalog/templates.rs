//! Systems: images of disks (`[[template]]`) and CDs (`[[iso]]`).

use std::collections::BTreeSet;

use leasehold_domain::server::Medium;
use leasehold_store::{Tx, catalog::Template};

use super::{
    differs,
    entries::{Catalog, IsoEntry, TemplateEntry},
};
use crate::{CommandError, Result};

impl From<&TemplateEntry> for Template {
    fn from(e: &TemplateEntry) -> Self {
        Self {
            id: e.id.as_str().into(),
            family: e.family.clone(),
            label: e.label.clone(),
            icon: e.icon.clone(),
            color: e.color.clone(),
            image: e.image.clone(),
            min_disk_gb: e.min_disk_gb,
            username: e.username.clone(),
            hidden: false,
            medium: Medium::Image,
            description: None,
            kind: None,
            size: None,
            ready: true,
        }
    }
}

impl From<&IsoEntry> for Template {
    fn from(e: &IsoEntry) -> Self {
        Self {
            id: e.id.as_str().into(),
            family: Self::CUSTOM.into(),
            label: e.name.clone(),
            icon: None,
            color: None,
            image: e.image.clone(),
            min_disk_gb: e.min_disk_gb,
            username: "root".into(),
            hidden: false,
            medium: Medium::Iso,
            description: Some(e.description.clone()),
            kind: Some(e.kind.clone()),
            size: Some(e.size),
            ready: e.ready,
        }
    }
}

fn called(t: &Template) -> String {
    let what = match t.medium {
        Medium::Image => "template",
        Medium::Iso => "iso",
    };
    format!("{what} {}", t.id)
}

fn check(rows: &[Template]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for t in rows {
        if !seen.insert(t.id.as_str()) {
            return Err(CommandError::Invalid(format!("'{}' stands twice among the templates and isos; each needs an id of its own", t.id)));
        }
        if (t.family == Template::CUSTOM) != (t.medium == Medium::Iso) {
            return Err(CommandError::Invalid(format!("template '{}': the family '{}' is that of [[iso]] entries", t.id, t.family)));
        }
        if t.image.contains(['/', '\\']) || t.image.starts_with('.') {
            return Err(CommandError::Invalid(format!("{}: image '{}' is a name at the nodes, not a path", called(t), t.image)));
        }
        if t.size.is_some_and(|bytes| bytes < 1) {
            return Err(CommandError::Invalid(format!("iso '{}': its size, bytes, is 1 at least", t.id)));
        }
    }
    Ok(())
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let before = tx.templates().await?;
    let rows: Vec<Template> = c.template.iter().map(Template::from).chain(c.iso.iter().map(Template::from)).collect();
    check(&rows)?;
    for row in &rows {
        if differs(before.iter().find(|b| b.id == row.id), row) {
            tx.put_template(row).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !rows.iter().any(|row| row.id == b.id)) {
        tx.put_template(&Template { hidden: true, ..gone }).await?;
    }
    Ok(())
}
