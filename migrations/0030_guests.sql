-- Which name servers a guest asks: those of its addresses' pools, else its node's, else its region's; addresses with commas between.
alter table regions add column resolvers text not null default '';
alter table nodes add column resolvers text not null default '';
alter table pools add column resolvers text not null default '';
