"""Small mistakes planted in a file's syntax tree, one at a time: what mutation testing is made of.

    for mutant in mutants(source):
        code = compile(mutant.tree(source), path, "exec")

A mistake is of the kinds that people make in formulas: a comparison or a sign the wrong way, a
product for a quotient, another number, min for max, `and` for `or`, a statement forgotten. Text,
annotations, docstrings and the messages of errors are left alone: no test is about those.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
WORDS = {"min": "max", "minimum": "maximum", "amin": "amax", "argmin": "argmax", "any": "all"}
WORDS |= {"cummin": "cummax", "floor": "ceil"}
WORDS |= {other: word for word, other in WORDS.items()}

Change = Callable[[ast.AST], None]
"""Plants the mistake in a node, in place."""


class Mutant(NamedTuple):
    """One mistake in one file."""

    line: int
    what: str
    """The mistake in words: "Lt -> GtE"."""
    node: int
    """Number of the node that it is in, in the order of `ast.walk`."""
    change: Change
    inside: bool
    """Whether the line is in a function; else an import runs it, for all tests of the file."""

    def tree(self, source: str) -> ast.Module:
        """The source's tree with the mistake in it; lines are those of the source."""
        tree = ast.parse(source)
        self.change(list(ast.walk(tree))[self.node])
        return ast.fix_missing_locations(tree)


def mutants(source: str) -> list[Mutant]:
    """Every mistake that can be planted in a file, in its order."""
    tree = ast.parse(source)
    quiet = _quiet(tree)
    bodies = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for line in range(node.body[0].lineno, (node.end_lineno or 0) + 1)
    }
    return [
        Mutant(line, what, number, change, line in bodies)
        for number, node in enumerate(ast.walk(tree))
        if id(node) not in quiet
        for line, what, change in _changes(node)
    ]


def _quiet(tree: ast.Module) -> set[int]:
    """Nodes that no test is about: annotations, messages of errors, text, stubs of protocols."""
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.AST() as hint) | ast.AnnAssign(annotation=hint):
                roots.append(hint)
            case ast.FunctionDef(returns=ast.AST() as hint, decorator_list=decorators):
                roots += [hint, *decorators]
            case ast.Raise(exc=ast.Call(args=args)):
                roots += args
            case ast.JoinedStr() | ast.Import() | ast.ImportFrom():
                roots.append(node)
            case ast.ClassDef(bases=bases) if any("Protocol" in ast.unparse(b) for b in bases):
                roots.append(node)
            case ast.ClassDef(bases=bases, decorator_list=decorators):
                roots += [*bases, *decorators]
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                roots.append(node)
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                roots.append(node)
    return {id(below) for root in roots for below in ast.walk(root)}


def _changes(node: ast.AST) -> Iterator[tuple[int, str, Change]]:
    """Line, words and change of every mistake in this node itself."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    words = f"{type(op).__name__} -> {other.__name__}"
                    yield node.lineno, words, partial(_compare, place, other)
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            other = ARITHMETIC[type(op)]
            words = f"{type(op).__name__} -> {other.__name__}"
            yield node.lineno, words, partial(_set, "op", other())
        case ast.BoolOp(op=op):
            other = ast.Or if isinstance(op, ast.And) else ast.And
            yield node.lineno, f"-> {other.__name__}", partial(_set, "op", other())
        case ast.UnaryOp(op=ast.USub()):
            yield node.lineno, "minus dropped", partial(_set, "op", ast.UAdd())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            again = ast.UnaryOp(ast.Not(), operand)
            yield node.lineno, "not dropped", partial(_set, "operand", again)
        case ast.Constant(value=bool() as value):
            yield node.lineno, f"{value} -> {not value}", partial(_set, "value", not value)
        case ast.Constant(value=int() | float() as value):
            for other in (value + 1, 2 * value) if value else (1,):
                yield node.lineno, f"{value} -> {other}", partial(_set, "value", other)
        case ast.Name(id=word) if word in WORDS and isinstance(node.ctx, ast.Load):
            yield node.lineno, f"{word} -> {WORDS[word]}", partial(_set, "id", WORDS[word])
        case ast.Attribute(attr=word) if word in WORDS:
            yield node.lineno, f"{word} -> {WORDS[word]}", partial(_set, "attr", WORDS[word])
        case ast.keyword(arg=("min" | "max") as word):
            yield node.lineno, f"{word}= -> {WORDS[word]}=", partial(_set, "arg", WORDS[word])
    if isinstance(node, ast.stmt | ast.ExceptHandler | ast.Module | ast.match_case):
        for field in ("body", "orelse", "finalbody"):
            for place, statement in enumerate(vars(node).get(field) or []):
                if _can_go(statement):
                    words = f"dropped: {ast.unparse(statement).splitlines()[0][:60]}"
                    yield statement.lineno, words, partial(_drop, field, place)


def _can_go(statement: ast.stmt) -> bool:
    """Whether a program without the statement still knows all its names, and could pass a test."""
    match statement:
        case ast.Expr(value=ast.Constant()) | ast.Raise(exc=None):
            return False
        case ast.Expr() | ast.AugAssign() | ast.Raise():
            return True
        case ast.Assign(targets=targets, value=value):
            made = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            return made <= {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
    return False


def _compare(place: int, other: type[ast.cmpop], node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops[place] = other()


def _set(field: str, value: object, node: ast.AST) -> None:
    setattr(node, field, copy.deepcopy(value))


def _drop(field: str, place: int, node: ast.AST) -> None:
    vars(node)[field][place] = ast.Pass()
