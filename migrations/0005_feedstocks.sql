-- What is typical of a feedstock wherever it is used, also where no default set has it.

ALTER TABLE feedstocks ADD COLUMN carbon_content JSONB;
ALTER TABLE feedstocks ADD COLUMN yield JSONB;

-- A database that was seeded before; a new one gets the same with its seed.
UPDATE feedstocks
SET carbon_content = '{"value":0.78,"unit":"kg/kg"}', yield = '{"value":1.21,"unit":"kg/kg"}'
WHERE code = 'UCO';
UPDATE feedstocks
SET carbon_content = '{"value":0.52,"unit":"kg/kg"}', yield = '{"value":4.5,"unit":"kg/kg"}'
WHERE code = 'lignocellulosic-biomass';
UPDATE feedstocks
SET carbon_content = '{"value":0.4,"unit":"kg/kg"}', yield = '{"value":8.5,"unit":"kg/kg"}'
WHERE code = 'animal-manure';
