-- Assets on which a canary scores for real where they are named, in place of a share.
ALTER TABLE model_version ADD COLUMN canary_asset_ids text[] NOT NULL DEFAULT '{}';
ALTER TABLE model_transition ADD COLUMN canary_asset_ids text[] NOT NULL DEFAULT '{}';
