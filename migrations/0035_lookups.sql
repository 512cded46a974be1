-- A statement says what each movement paid: charges are found by their transfers, whatever their number.
drop index charges_order;
create index charges_transfer on charges (transfer) where transfer is not null;
-- People write their addresses in capitals or not.
create index accounts_email_as_said on accounts (lower(email));
