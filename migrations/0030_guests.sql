-- Which name servers a guest asks: those of its addresses' pools, else its node's, else its region's; addresses with commas between.
alter table regions add column resolvers text not null default '';
alter table nodes add column resolvers text not null default '';
alter table pools add column resolvers text not null default '';
-- Countries are those of ISO 3166 from now on: what people wrote for the United Kingdom and Greece.
update accounts set country = 'GB' where country = 'UK';
update accounts set country = 'GR' where country = 'EL';
update tax_rates set country = 'GB' where country = 'UK' and not exists (select 1 from tax_rates as other where other.country = 'GB');
update tax_rates set country = 'GR' where country = 'EL' and not exists (select 1 from tax_rates as other where other.country = 'GR');
