//! What the notices about a server tell: gathered once, for every kind.

use leasehold_domain::{
    Money,
    lease::{Lease, LeaseState},
    notice::NoticeKind,
    server::BuildKind,
};
use serde_json::{Value, json};

use crate::{Result, Tx, addresses::Address, args, mails::NewMail, servers::Server};

/// Where a customer signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Who.
    pub username: String,
    /// The host: the first address, or where the node forwards to it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether that is a remote desktop and not a shell.
    pub desktop: bool,
}

/// The family of systems that are signed in to by remote desktop.
const DESKTOPS: &str = "windows";
const RDP: u16 = 3389;
const SSH: u16 = 22;

impl Tx {
    /// Where a server's owner signs in.
    pub async fn sign_in(&mut self, server: &Server) -> Result<SignIn> {
        let template = self.template(&server.template_id).await?;
        let desktop = template.family == DESKTOPS;
        let endpoint = server.endpoint.as_deref().and_then(|e| e.rsplit_once(':')).and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let (host, port) = match endpoint {
            Some(endpoint) => endpoint,
            None => (self.addresses(&server.id).await?.first().map_or_else(String::new, |a| a.address.clone()), if desktop { RDP } else { SSH }),
        };
        Ok(SignIn { username: template.username, host, port, desktop })
    }

    /// Writes a notice to a server's owner; about which charge, where it is part of dunning.
    pub async fn tell(&mut self, s: &Server, kind: NoticeKind, subject: &str, charge: Option<&str>) -> Result<()> {
        let account = self.account(&s.account_id).await?;
        let data = self.notice_data(s).await?;
        let (recipient, locale) = (account.email.as_str(), account.locale.as_str());
        self.notify(NewMail { kind, subject, account: Some(&s.account_id), server: Some(&s.id), recipient, locale, data, charge }).await?;
        Ok(())
    }

    /// What it takes for a lease to go on that owes something, as text.
    async fn owed(&mut self, lease: &Lease) -> Result<Option<String>> {
        if !matches!(lease.state, LeaseState::PastDue | LeaseState::Suspended) {
            return Ok(None);
        }
        let now = self.now;
        let pages = self.pages(std::slice::from_ref(&lease.account)).await?;
        let price = pages.iter().find_map(|p| p.books.leases.iter().find(|s| s.lease.id == lease.id).and_then(|s| s.price_to_go_on(p.books.tax, now)));
        Ok(price.map(|p| p.to_string()))
    }

    /// The data of every notice about a server.
    pub async fn notice_data(&mut self, server: &Server) -> Result<Value> {
        let account = self.account(&server.account_id).await?;
        let sign_in = self.sign_in(server).await?;
        let addresses: Vec<String> = self.addresses(&server.id).await?.into_iter().map(|a: Address| a.address).collect();
        let keys = self.ssh_keys_for(&server.id).await?.len();
        let lease = self.lease_of(&server.id).await?;
        let (product,): (String,) = self.one("select name from products where id = $1", args![&server.product_id]).await?;
        let (region,): (String,) = self.one("select name from regions where id = $1", args![&server.region_id]).await?;
        let template = self.template(&server.build_template_id).await?;
        let owed = match &lease {
            Some(lease) => self.owed(lease).await?,
            None => None,
        };
        let price = match &lease {
            Some(lease) => lease.price,
            None => Money::zero(account.currency()?),
        };
        Ok(json!({
            "name": account.first_name,
            "server": server.id,
            "label": server.label,
            "hostname": server.hostname,
            "product": product,
            "region": region,
            "os": template.label,
            "price": price.to_string(),
            "owed": owed,
            "cycle": lease.as_ref().map(|l| l.cycle),
            "paid_until": lease.and_then(|l| Some(l.paid_until?.day_in(&l.zone))),
            "username": sign_in.username,
            "ip": sign_in.host,
            "port": sign_in.port,
            "addresses": addresses,
            "ssh_keys": keys,
            "agent": server.agent.map(|a| a.0),
            "reason": server.status_reason,
            "reinstall": server.build == BuildKind::Reinstall,
        }))
    }
}
