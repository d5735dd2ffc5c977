from snakefold.errors import Mistake, UserError, did_you_mean, dotted, expects, listed


def test_path_is_written_as_users_read_it():
    assert dotted(("placement", "l4", "cell_types", 0)) == "placement.l4.cell_types[0]"
    assert dotted(()) == ""


def test_a_mistake_says_where_what_and_message_and_leaves_out_what_is_not_known():
    assert str(Mistake("no", ("a", 1), "f.yaml:3")) == "f.yaml:3: a[1]: no"
    assert str(Mistake("no")) == "no"


def test_error_lists_all_mistakes_one_to_a_line():
    error = UserError([Mistake("one"), Mistake("two", ("x",))])
    assert str(error) == "one\nx: two"
    assert str(UserError("text", where="file")) == "file: text"


def test_located_fills_in_missing_places_and_sorts_by_line_as_a_number():
    lines = {("a",): "f:10", ("b",): "f:9"}
    found = UserError([Mistake("m", ("a",)), Mistake("m", ("b",)), Mistake("m", where="e:99")]).located(lines.get)
    assert [m.where for m in found.mistakes] == ["e:99", "f:9", "f:10"]


def test_did_you_mean_names_the_nearest_and_is_silent_when_nothing_is_near():
    assert did_you_mean("L4e", ["L23E", "L4I", "L4E"]) == '; did you mean "L4E"?'
    assert did_you_mean("quark", ["L23E", "L4E"]) == ""
    assert did_you_mean(7, ["L4E"]) == ""


def test_listed_cuts_long_lists_and_counts_the_rest():
    assert listed("abc", 2) == "a, b, ... (1 more)"
    assert listed([]) == "none"


def test_expects_says_expected_and_got():
    assert expects("'offset' shape", "(3,)", (2,)) == "'offset' shape should be: (3,) (got: (2,))"
