-- The billing database of the tutorial. It can be run again at any time.

CREATE TABLE IF NOT EXISTS account (
    user_name text PRIMARY KEY,
    balance   numeric(12, 2) NOT NULL
);

INSERT INTO account (user_name, balance) VALUES
    ('anna', 120.50),
    ('bert', -7.25),
    ('carla', 99000.00)
ON CONFLICT (user_name) DO NOTHING;
