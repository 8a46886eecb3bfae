import pytest

from listbridge.aggregation import parse
from listbridge.aggregation.syntax import canonical

REST = "FROM cm_activity INTO USER BY email"


def column(text):
    return parse(f"SELECT {text} {REST}").columns[0]


def test_a_statement_holds_its_columns_stream_table_key_and_alias():
    mapping = parse(
        """
        -- a comment, "with quotes"
        select email(email) as email, -- another
               count(event) as ct
        from cm_activity into USER by email or user_id
        where EXISTS event
        alias mine;
        """
    )
    assert [each.name.text for each in mapping.columns] == ["email", "ct"]
    assert (mapping.stream.text, mapping.table.text, mapping.alias) == ("cm_activity", "USER", "mine")
    assert [each.text for each in mapping.by] == ["email", "user_id"]
    assert canonical(mapping.where) == "(EXISTS `event`)"


def test_a_mapping_without_alias_is_called_by_its_stream():
    assert parse(f"SELECT email {REST}").alias == "cm_activity"


def test_where_may_stand_before_into():
    assert parse("SELECT a FROM s WHERE b IN (1) INTO user BY a").where is not None


@pytest.mark.parametrize(
    "clauses",
    [
        'AS x IF eq(event, "open") SHORTDESC "short" LONGDESC "long" KIND INT MERGEOP sum',
        'MERGEOP SUM kind int LONGDESC "long" SHORTDESC "short" IF eq(event, "open") AS x',
        'KIND Int SHORTDESC "short" as x LONGDESC "long" MERGEOP sum IF eq(event, "open")',
    ],
)
def test_clauses_stand_in_any_order(clauses):
    found = column(f"count(event) {clauses}")
    assert found.name.text == "x"
    assert canonical(found.condition) == 'eq(`event`, "open")'
    assert (found.kind.text, found.merge_operation.text) == ("int", "sum")
    assert (found.shortdesc, found.longdesc) == ("short", "long")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("city", "city"),
        ("count(event)", "ct_event"),
        ("valuect(event)", "cts_event"),
        ("email(email)", "email_email"),
        ("valuect(hash(urlmain(url)))", "cts_url"),
        ("`from`", "from"),
        ("kind", "kind"),
        ("assets", "assets"),
    ],
)
def test_a_column_without_as_is_named_after_what_it_reads(text, name):
    assert column(text).name.text == name


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a = 1 and b", "((`a` == 1) AND `b`)"),
        ("a==1 AND(b)", "((`a` == 1) AND `b`)"),
        ("a OR b AND c", "(`a` OR (`b` AND `c`))"),
        ("a OR b OR c", "((`a` OR `b`) OR `c`)"),
        ("NOT a AND b", "((NOT `a`) AND `b`)"),
        ("NOT a == b", "(NOT (`a` == `b`))"),
        ("a NOT IN (1)", "(NOT (`a` IN (1)))"),
        ('not a in (1, -2.5, "x", true)', '(NOT (`a` IN (1, -2.5, "x", true)))'),
        ("EXISTS (a)", "(EXISTS `a`)"),
        ("Hash.Sip( a )", "hash(`a`)"),
        (r'a == "say \"hi\" \\ é"', r'(`a` == "say \"hi\" \\ é")'),
        ("`a` >= b", "(`a` >= `b`)"),
    ],
)
def test_expressions_that_mean_the_same_have_one_text(text, same):
    assert canonical(column(f"x IF {text}").condition) == same
