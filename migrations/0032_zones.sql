-- The zone whose days stand on a document: the house's for its date, each lease's for its period. None: it was issued with days of UTC.
alter table invoices add column zone text;
alter table invoice_lines add column zone text;
