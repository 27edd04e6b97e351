"""Errors of other libraries are told by what led to them, and by nothing else."""

import pytest

from keras_se.validation import as_value_error

pytestmark = pytest.mark.backend_neutral


def fail(error):
    raise error


def test_what_was_handled_before_did_not_lead_to_an_error():
    """As in an export that a user starts because something else failed."""
    with pytest.raises(ValueError, match=r"^It cannot be run: the cause$"):
        try:
            fail(KeyError("something else"))
        except KeyError:
            with as_value_error("It cannot be run"):
                try:
                    fail(RuntimeError("the cause"))
                except RuntimeError:
                    fail(TypeError("what it led to"))


def test_what_an_error_was_raised_in_place_of_did_not_lead_to_it():
    message = r"^It cannot be run: in short$"
    with pytest.raises(ValueError, match=message), as_value_error("It cannot be run"):
        try:
            fail(KeyError("in full"))
        except KeyError:
            raise RuntimeError("in short") from None


def test_causes_come_before_contexts():
    message = r"^It cannot be run: the cause$"
    with pytest.raises(ValueError, match=message), as_value_error("It cannot be run"):
        try:
            fail(KeyError("the context"))
        except KeyError:
            raise RuntimeError("the error") from OverflowError("the cause")


@pytest.mark.parametrize("error", [ImportError, MemoryError, FileNotFoundError])
def test_what_says_what_to_do_stays_as_it_is(error):
    with pytest.raises(error, match=r"^as it is$"), as_value_error("It cannot be run"):
        raise error("as it is")
