-- Table macros, once for a single run and once for several: `schema.py` fills in what begins with $$. In a single run $$run is nothing and
-- $$parents is the table; in several $$run is the name of the run, an argument more, and $$parents the rows of that run.

-- No distance to each: that would visit some ancestors by every path, and the paths double with each generation.
CREATE MACRO ancestors($run of) AS TABLE
    WITH RECURSIVE line(id) AS (
        SELECT of::BIGINT
        UNION
        SELECT p.parent FROM line l JOIN $parents p ON p.child = l.id
    )
    SELECT i.id, i.generation FROM line l JOIN $individuals i ON i.id = l.id ORDER BY i.tell DESC;
COMMENT ON MACRO TABLE ancestors IS 'An individual and all its ancestors, the latest first';

CREATE MACRO cost_of($run of) AS TABLE
    SELECT count(DISTINCT p.individual) AS individuals, count(*) AS completions, coalesce(sum(c.cost_usd), 0) AS usd
    FROM ancestors($run of) a JOIN $proposals p ON p.individual = a.id JOIN $completions c USING (ask);
COMMENT ON MACRO TABLE cost_of IS 'What an individual cost, together with all its ancestors';

CREATE MACRO made_by($run of) AS TABLE
    SELECT c.purpose, c.model, c.prompt, c.reply, c.cost_usd FROM $completions c JOIN $proposals p USING (ask)
    WHERE p.individual = of AND c.stage = 'proposal' ORDER BY c.completed;
COMMENT ON MACRO TABLE made_by IS 'The completions that made an individual: prompt, reply and cost';
