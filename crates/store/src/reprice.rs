//! New prices for leases that run, or soon will, from their next period on: the first one's price was agreed with the order. What was charged stays; discounts stay the amounts that were agreed.

use crate::{Result, Tx, addons::AddonPrice, args, catalog::Price};

impl Tx {
    /// The plan's new price, for every lease that pays another one: what they paid, minor units, and how many of each.
    pub async fn reprice_plan(&mut self, p: &Price) -> Result<Vec<(i64, i64)>> {
        // Their accounts' locks: nobody charges them meanwhile.
        let lock = "select account_id from wallets where account_id in (select l.account_id from leases l join servers s on s.id = l.server_id \
                    where s.product_id = $1 and l.currency = $2 and l.cycle = $3 and l.state in ('pending', 'active', 'past_due', 'suspended')) order by account_id {lock}";
        let of = args![&p.product_id, &p.currency, p.cycle.as_str(), p.amount];
        self.all::<(String,)>(lock, &of[..3]).await?;
        let paid = "select n.amount, count(*) from leases l join servers s on s.id = l.server_id join lease_lines n on n.lease_id = l.id and n.kind = 'plan' \
                    and n.until_period is null where s.product_id = $1 and l.currency = $2 and l.cycle = $3 and l.state in ('pending', 'active', 'past_due', 'suspended') and n.amount <> $4 \
                    group by n.amount order by n.amount";
        let paid = self.all(paid, of).await?;
        let insert = "insert into lease_lines (lease_id, no, kind, description, amount, from_period) \
                      select l.id, (select max(x.no) + 1 from lease_lines x where x.lease_id = l.id), 'plan', n.description, $4, case when l.period_no < 1 then 2 else l.period_no + 1 end \
                      from leases l join servers s on s.id = l.server_id join lease_lines n on n.lease_id = l.id and n.kind = 'plan' and n.until_period is null \
                      where s.product_id = $1 and l.currency = $2 and l.cycle = $3 and l.state in ('pending', 'active', 'past_due', 'suspended') and n.amount <> $4";
        self.exec(insert, of).await?;
        // Where there is a new one: an order may have been committed meanwhile.
        let end = "update lease_lines set until_period = (select case when l.period_no < 1 then 1 else l.period_no end from leases l where l.id = lease_lines.lease_id) \
                   where kind = 'plan' and until_period is null and amount <> $4 and lease_id in (select l.id from leases l join servers s on s.id = l.server_id \
                   where s.product_id = $1 and l.currency = $2 and l.cycle = $3 and l.state in ('pending', 'active', 'past_due', 'suspended')) \
                   and exists (select 1 from lease_lines n where n.lease_id = lease_lines.lease_id and n.kind = 'plan' and n.until_period is null and n.amount = $4 and n.no > lease_lines.no)";
        self.exec(end, of).await?;
        Ok(paid)
    }

    /// The add-on's new price, for every server that pays another one: what they paid, minor units, and how many of each.
    pub async fn reprice_addon(&mut self, p: &AddonPrice) -> Result<Vec<(i64, i64)>> {
        let lock = "select account_id from wallets where account_id in (select l.account_id from leases l join server_addons a on a.server_id = l.server_id \
                    where a.addon_id = $1 and a.state in ('ordered', 'active') and l.currency = $2 and l.cycle = $3) order by account_id {lock}";
        let of = args![&p.addon_id, &p.currency, p.cycle.as_str(), p.amount];
        self.all::<(String,)>(lock, &of[..3]).await?;
        let paid = "select n.amount, count(*) from leases l join server_addons a on a.server_id = l.server_id join lease_lines n on n.lease_id = l.id and n.addon = a.id \
                    and n.kind = 'addon' and n.until_period is null \
                    where a.addon_id = $1 and a.state in ('ordered', 'active') and l.currency = $2 and l.cycle = $3 and l.state in ('pending', 'active', 'past_due', 'suspended') and n.amount <> $4 \
                    group by n.amount order by n.amount";
        let paid = self.all(paid, of).await?;
        let insert = "insert into lease_lines (lease_id, no, kind, description, amount, from_period, addon) \
                      select l.id, (select max(x.no) + 1 from lease_lines x where x.lease_id = l.id), 'addon', n.description, $4, case when l.period_no < 1 then 2 else l.period_no + 1 end, n.addon \
                      from leases l join server_addons a on a.server_id = l.server_id join lease_lines n on n.lease_id = l.id and n.addon = a.id \
                      and n.kind = 'addon' and n.until_period is null \
                      where a.addon_id = $1 and a.state in ('ordered', 'active') and l.currency = $2 and l.cycle = $3 and l.state in ('pending', 'active', 'past_due', 'suspended') and n.amount <> $4";
        self.exec(insert, of).await?;
        let end = "update lease_lines set until_period = (select case when l.period_no < 1 then 1 else l.period_no end from leases l where l.id = lease_lines.lease_id) \
                   where kind = 'addon' and until_period is null and amount <> $4 and addon in (select a.id from server_addons a join leases l on l.server_id = a.server_id \
                   where a.addon_id = $1 and a.state in ('ordered', 'active') and l.currency = $2 and l.cycle = $3 and l.state in ('pending', 'active', 'past_due', 'suspended')) \
                   and exists (select 1 from lease_lines n where n.lease_id = lease_lines.lease_id and n.addon = lease_lines.addon and n.kind = 'addon' and n.until_period is null \
                   and n.amount = $4 and n.no > lease_lines.no)";
        self.exec(end, of).await?;
        let own = "update server_addons set price = $4 where addon_id = $1 and state in ('ordered', 'active') and server_id in \
                   (select server_id from leases where currency = $2 and cycle = $3 and state in ('pending', 'active', 'past_due', 'suspended'))";
        self.exec(own, of).await?;
        Ok(paid)
    }
}
