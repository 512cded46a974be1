-- Who bills whom and with which tax, corrections of invoices, and what an account owes beyond its wallet.
alter table accounts add column address text;
alter table accounts add column country text;
alter table accounts add column vat_id text;
alter table accounts add column reverse_charge boolean not null default false;
alter table accounts add column tax_evidence text;
-- A rate set by hand, which the table of rates does not change.
alter table accounts add column tax_fixed boolean not null default false;
alter table accounts add column party text;

create table tax_rates (
    country text primary key,
    basis_points bigint not null check (basis_points between 0 and 10000)
);

-- Names and addresses as they stood on documents: written once, named by what they say.
create table parties (
    id text primary key,
    details text not null,
    created_at bigint not null
);

-- What there is one of: the party that sells.
create table house (
    key text primary key,
    value text not null
);

-- The rate that a price was made with.
alter table charges add column tax_bp bigint not null default 0;
alter table leases add column tax_bp bigint not null default 0;

alter table wallets add column owed bigint not null default 0 check (owed >= 0);

alter table invoices add column kind text not null default 'invoice' check (kind in ('invoice', 'credit_note'));
alter table invoices add column corrects text;
alter table invoices add column reason text;
alter table invoices add column seller text;
alter table invoices add column buyer text;
-- What was taxed at which rate, JSON: [{"rate": basis points, "net": minor units, "tax": minor units}].
alter table invoices add column taxes text not null default '[]';
alter table invoices add column reverse_charge boolean not null default false;
create index invoices_corrects on invoices (corrects) where corrects is not null;
