"""Conditions on the columns of a table: `attack == 'ig' and psnr_unit > 20`. Nothing in them can run code."""

import ast
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.base.errors import UserError, first_line
from harness.store.frames import known

if TYPE_CHECKING:
    import pandas

LONGEST = 2000
"""Characters of a condition: deeper nesting than they allow would exhaust the stack."""
SYNTAX = "write conditions such as \"attack == 'ig' and psnr_unit > 20\""

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def select(table: "pandas.DataFrame", condition: str | None) -> "pandas.DataFrame":
    """The lines of a table for which a condition holds; all, where there is none.

    A condition has columns (`fl.batch_size` as it stands), numbers, texts, lists, comparisons, `in`, `and`, `or`,
    `not` and the four arithmetic operations. It is read, never run. Raises UserError for anything else.
    """
    if condition is None or not condition.strip():
        return table
    if len(condition) > LONGEST:
        raise UserError(f"the condition is longer than {LONGEST} characters")
    try:
        tree = ast.parse(condition.strip(), mode="eval")
        chosen = _Reader(table).truth(tree.body)
    except UserError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{condition[:80]!r} can't be read: {SYNTAX}") from error
    except Exception as error:  # whatever pandas and numpy say of values that don't go together
        reason = first_line(error)
        raise UserError(f"{condition[:80]!r} compares what can't be compared: {reason}") from error
    found: pandas.DataFrame = table[chosen]
    return found


def _is_condition(value: object) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") == "b"


class _Reader:
    """Reads an expression's tree; a kind of node without a method of its own is refused."""

    def __init__(self, table: "pandas.DataFrame") -> None:
        self._table = table

    def read(self, node: ast.expr) -> Any:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise UserError(f"{ast.unparse(node)[:80]!r} has no place in a condition: {SYNTAX}")
        return method(node)

    def _name(self, node: ast.Name) -> "pandas.Series[Any]":
        return self._column(node.id)

    def _attribute(self, node: ast.Attribute) -> "pandas.Series[Any]":
        """A column with a dotted name: nothing is looked up but the name as a whole."""
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts, inner = [inner.attr, *parts], inner.value
        if not isinstance(inner, ast.Name):
            raise UserError(f"{ast.unparse(node)[:80]!r} has no place in a condition: {SYNTAX}")
        return self._column(".".join([inner.id, *parts]))

    def _column(self, name: str) -> "pandas.Series[Any]":
        known(self._table, [name])
        return self._table[name]

    def _constant(self, node: ast.Constant) -> object:
        if node.value is not None and not isinstance(node.value, bool | int | float | str):
            raise UserError(f"{node.value!r} has no place in a condition: {SYNTAX}")
        return node.value

    def _list(self, node: ast.List | ast.Tuple) -> list[object]:
        if not all(isinstance(item, ast.Constant) for item in node.elts):
            raise UserError(f"{ast.unparse(node)[:80]!r}: a list holds numbers or texts")
        return [self.read(item) for item in node.elts]

    _tuple = _list

    def _boolop(self, node: ast.BoolOp) -> Any:
        join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
        result = self.truth(node.values[0])
        for value in node.values[1:]:
            result = join(result, self.truth(value))
        return result

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node.op, ast.USub):
            return -self.read(node.operand)
        raise UserError(f"{ast.unparse(node)[:80]!r} has no place in a condition: {SYNTAX}")

    def truth(self, node: ast.expr) -> Any:
        """A column of true and false; no value counts as false."""
        found = self.read(node)
        if isinstance(node, ast.Name | ast.Attribute) and found.dropna().isin([True, False]).all():
            found = found == True  # noqa: E712 - a column that may hold None
        if not _is_condition(found):
            raise UserError(f"{ast.unparse(node)[:80]!r} is neither true nor false: {SYNTAX}")
        return found

    def _compare(self, node: ast.Compare) -> Any:
        result: Any = True
        left = node.left
        for sign, right in zip(node.ops, node.comparators, strict=True):
            result = result & self._comparison(sign, left, right)
            left = right
        return result

    def _comparison(self, sign: ast.cmpop, left: ast.expr, right: ast.expr) -> Any:
        one, other = self.read(left), self.read(right)
        if isinstance(sign, ast.In | ast.NotIn):
            if not isinstance(other, list) or not hasattr(one, "isin"):
                raise UserError("`in` asks whether a column's value is in a list: attack in ['dlg', 'ig']")
            return one.isin(other) if isinstance(sign, ast.In) else ~one.isin(other)
        if type(sign) not in COMPARISONS:
            raise UserError(f"`is` has no place in a condition: {SYNTAX}")
        if isinstance(sign, ast.Eq | ast.NotEq) and other is None and hasattr(one, "isna"):
            return one.isna() if isinstance(sign, ast.Eq) else one.notna()
        return COMPARISONS[type(sign)](one, other)

    def _binop(self, node: ast.BinOp) -> Any:
        one, other = self.read(node.left), self.read(node.right)
        if type(node.op) not in ARITHMETIC or isinstance(one, str | list) or isinstance(other, str | list):
            raise UserError(f"{ast.unparse(node)[:80]!r} has no place in a condition: {SYNTAX}")
        return ARITHMETIC[type(node.op)](one, other)
