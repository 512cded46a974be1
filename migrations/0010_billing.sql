-- Renewals and dunning: what a lease waits for, what was told about a charge, who sets the rules, what stops them.
alter table accounts add column tax_bp bigint not null default 0;

alter table wallets add column parked_at bigint;
alter table wallets add column last_error text;
create index wallets_parked on wallets (account_id) where parked_at is not null;

alter table leases add column tax bigint not null default 0;
alter table leases add column suspended_at bigint;
alter table leases add column off_at bigint;
alter table leases add column waived_at bigint;
-- Since when its server is down by a fault of ours: nothing is charged meanwhile.
alter table leases add column down_at bigint;
alter table lease_lines add column until_period bigint;

alter table charges add column tax bigint not null default 0;
alter table charges add column paid_at bigint;
update charges set paid_at = created_at where state = 'paid';
-- Leases that began before there was anybody to settle them.
update wallets set settle_at = (select min(l.decide_at) from leases l where l.account_id = wallets.account_id and l.state = 'active');
-- Later charges are found by their lease; only an order's is looked for by its transfer.
drop index charges_transfer;
create index charges_order on charges (transfer) where no = 1 and transfer is not null;

-- The charge that a notice is about (lease:no), and how long before the step that it tells of it was due.
alter table mails add column charge text;
alter table mails add column before_ms bigint;
create index mails_charge on mails (charge) where charge is not null;

-- The rules, where they differ from the built-in ones. The narrower level wins: system, plan, account, lease.
create table policies (
    level text not null,
    subject text not null,
    key text not null,
    value text not null,
    primary key (level, subject, key)
);

-- What is due to be taken away, counted before anything is; done ones are kept for the count of a day.
create table enforcements (
    lease_id text not null,
    no bigint not null,
    step text not null,
    proposed_at bigint not null,
    done_at bigint,
    primary key (lease_id, no, step)
);
create index enforcements_due on enforcements (step, lease_id) where done_at is null;
create index enforcements_done on enforcements (done_at) where done_at is not null;

-- One row a kind: the lock of all schedulers over what is taken away.
create table breakers (
    kind text primary key,
    opened_at bigint,
    due bigint not null,
    confirmed bigint not null
);

-- Numbers without a gap: the row is locked last, and given back only by a commit.
create table invoice_series (
    id text primary key,
    next_no bigint not null
);

create table invoices (
    id text primary key,
    series text not null,
    number bigint not null,
    account_id text not null,
    currency text not null,
    net bigint not null,
    tax bigint not null,
    total bigint not null,
    created_at bigint not null,
    unique (series, number)
);
create index invoices_account on invoices (account_id, id);

create table invoice_lines (
    invoice_id text not null,
    no bigint not null,
    lease_id text not null,
    charge_no bigint not null,
    description text not null,
    from_at bigint not null,
    until_at bigint not null,
    amount bigint not null,
    primary key (invoice_id, no)
);
