-- Rates of tax and what is taken off, to a thousandth of one per cent.
alter table accounts rename column tax_bp to tax_rate;
alter table charges rename column tax_bp to tax_rate;
alter table leases rename column tax_bp to tax_rate;
alter table server_addons rename column held_tax_bp to held_tax_rate;
update accounts set tax_rate = tax_rate * 10 where tax_rate <> 0;
update charges set tax_rate = tax_rate * 10 where tax_rate <> 0;
update leases set tax_rate = tax_rate * 10 where tax_rate <> 0;
update server_addons set held_tax_rate = held_tax_rate * 10 where held_tax_rate <> 0;

create table country_rates (
    country text primary key,
    rate bigint not null check (rate between 0 and 100000)
);
insert into country_rates (country, rate) select country, basis_points * 10 from tax_rates;
drop table tax_rates;
alter table country_rates rename to tax_rates;

-- What goes beyond the whole per cent.
alter table coupons add column thousandths bigint not null default 0 check (thousandths between 0 and 999);
alter table tiers add column thousandths bigint not null default 0 check (thousandths between 0 and 999);
alter table partners add column thousandths bigint not null default 0 check (thousandths between 0 and 999);

update schema_info set min_binary = 4 where id = 1;
