"""The typed tree: a component declares each attribute once, in its class, and everything else follows from that.

From the declarations come the typed tree with its checks (`Node.build`), the canonical JSON of slices (`to_json`), and
the JSON Schema (`schema`). Attributes are built in declaration order, parents before children; `required`, `default`
and `constraint` may be functions of the node under construction, which knows its parent and what was built before.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from snakefold.config import context
from snakefold.config.schema import mapping
from snakefold.errors import Path, listed, nearest

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
INVALID: Any = type("Invalid", (), {"__repr__": lambda self: "INVALID"})()
unset: Any = type("Unset", (), {"__doc__": "Assigned in a subclass, removes an inherited attribute."})()


class AttributeOrderError(TypeError):
    """A class redeclares inherited attributes in an order that contradicts the order in which they are built."""


class Attribute:
    """One attribute of a component: what a description may say of it, and what it means.

    Parameters
    ----------
    type : a handler of `config.types`: casts what stands in the description, writes it back, and gives its schema
    default : a value, or a function of the node under construction
    required : True, or a function of the node under construction: a bool, or the reason as a sentence
    unit : as in "um"; a schema annotation
    doc : one sentence for the reference
    constraint : a function of (node, value): None, or what is wrong with it
    key : the key in the description where it is not the attribute's name
    semantic : False where a change of it changes no result (a plot's colour): it is left out of slices
    catches : True where this one, a `types.DictOf`, also takes the keys that are no attribute's
    """

    def __init__(
        self,
        type,
        *,
        default=None,
        required=False,
        unit="",
        doc="",
        constraint=None,
        key="",
        semantic=True,
        catches=False,
    ):
        self.type, self.default, self.required = type, default, required
        self.unit, self.doc, self.constraint, self.key, self.semantic = unit, doc, constraint, key, semantic
        self.catches = catches
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.key = self.key or name

    def __get__(self, node, owner=None):
        if node is None:
            return self
        return node.__dict__.get(self.name)

    def __set__(self, node, value) -> None:
        node.__dict__[self.name] = value

    def schema(self, definitions: dict) -> dict:
        """Return the JSON Schema of the value, with the unit and what the attribute means."""
        schema = dict(self.type.schema(definitions))
        if self.doc:
            schema["description"] = self.doc
        if self.unit:
            schema["x-unit"] = self.unit
        if self.default is not None and not callable(self.default):
            schema["default"] = self.type.to_json(self.default)
        return schema


class Node:
    """A mapping of the description with declared attributes.

    Class attributes
    ----------------
    chosen_by : for the classes of components, the key whose word chose the class; it is not among the attributes

    Attributes
    ----------
    node_name : its key in the mapping it stands in
    parent : the node it stands in, None for the root
    path : keys and indices from the root
    mentioned : the keys that the description gives, also those with a wrong value, and those that it seems to misspell
    """

    _attributes: ClassVar[dict[str, Attribute]] = {}
    chosen_by: ClassVar[str] = ""
    node_name: str
    parent: "Node | None"
    path: Path
    mentioned: "set[str] | frozenset[str]" = frozenset()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        inherited: dict[str, Attribute] = {}
        for base in cls.__bases__:
            _check_order(cls, list(inherited), list(getattr(base, "_attributes", {})))
            inherited.update(getattr(base, "_attributes", {}))
        declared = {n: a for n, a in vars(cls).items() if isinstance(a, Attribute) or a is unset}
        if taken := [name for name in declared if name in _OWN_NAMES]:
            what = f"{cls.__name__}: {listed(taken)} is a name that every node has; call the attribute otherwise"
            raise TypeError(f'{what}, as in {taken[0]}_ = Attribute(..., key="{taken[0]}")')
        cls._attributes = _thread(cls, inherited, declared)

    @classmethod
    def build(cls, value: object, path: Path = (), parent: "Node | None" = None) -> "Node":
        """Build the node from a plain mapping, reporting every mistake to the current context.

        Returns a node in any case; what could not be built is None in it, and the context has mistakes.
        """
        build = context.current()
        node = cls.__new__(cls)
        node.path, node.parent, node.node_name = path, parent, str(path[-1]) if path else ""
        if not isinstance(value, dict):
            build.mistake(path, f"should be: a mapping with {listed(cls.keys())} (got: {value!r:.60})")
            return node
        keys = cls.keys()
        node.mentioned = {key for key, item in value.items() if item is not None}
        catcher = next((a for a in cls._attributes.values() if a.catches), None)
        caught = {}
        for key in value:
            if key not in keys:
                if catcher and not _misspelt(cls, key, value):
                    caught[key] = value[key]
                    continue
                meant = nearest(key, keys)
                node.mentioned.add(meant)
                hint = f'; did you mean "{meant}"?' if meant else ""
                build.mistake((*path, key), f'unknown key "{key}"{hint} (keys: {listed(keys, 30)})')
        for attribute in cls._attributes.values():
            node._build_attribute(attribute, value, path, build)
            if attribute is catcher:
                node._catch(attribute, caught, path, build)
        return node

    def _catch(self, attribute: Attribute, caught: dict, path: Path, build: context.BuildContext) -> None:
        taken = self.__dict__[attribute.name] = dict(self.__dict__[attribute.name] or {})
        for key, item in caught.items():
            cast = attribute.type.item.cast(item, (*path, key), self)
            if key in taken:
                build.mistake((*path, key), f'"{key}" is given among the {attribute.key}, too; give it once')
            elif cast is not INVALID:
                taken[key] = cast

    def _build_attribute(self, attribute: Attribute, value: dict, path: Path, build: context.BuildContext) -> None:
        at = (*path, attribute.key)
        if value.get(attribute.key) is None:
            required = attribute.required(self) if callable(attribute.required) else attribute.required
            if required and attribute.key not in self.mentioned:
                reason = f": {required}" if isinstance(required, str) else ""
                what = f" ({attribute.doc.rstrip('.')}{', ' + attribute.unit if attribute.unit else ''})"
                build.mistake(path, f'"{attribute.key}" is missing{reason}{what if attribute.doc else ""}')
            default = attribute.default
            self.__dict__[attribute.name] = default(self) if callable(default) else default
            return
        cast = attribute.type.cast(value[attribute.key], at, self)
        if cast is INVALID:
            self.__dict__[attribute.name] = None
            return
        self.__dict__[attribute.name] = cast
        if attribute.constraint and (wrong := attribute.constraint(self, cast)):
            build.mistake(at, wrong)

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """Return the keys a description may use here."""
        return tuple(attribute.key for attribute in cls._attributes.values())

    @classmethod
    def attributes(cls) -> Iterator[Attribute]:
        """Yield the declared attributes in the order in which they are built."""
        yield from cls._attributes.values()

    def walk(self) -> Iterator["Node"]:
        """Yield this node and all nodes below it."""
        yield self
        for attribute in self._attributes.values():
            yield from _nodes_in(self.__dict__.get(attribute.name))

    def root(self) -> "Node":
        """Return the root of the tree."""
        return self if self.parent is None else self.parent.root()

    def refers_to(self) -> list["Node"]:
        """Return the nodes that its attributes name, as far as the tree has been built."""
        root, found = self.root(), []
        for attribute in self._attributes.values():
            for table, name in attribute.type.references(self.__dict__.get(attribute.name)):
                found += [nodes[name] for nodes in _tables(root, table) if isinstance(nodes.get(name), Node)]
        return found

    def referrers(self) -> list["Node"]:
        """Return the nodes whose attributes name this one, as far as the tree has been built."""
        return [node for node in self.root().walk() if any(other is self for other in node.refers_to())]

    def to_json(self) -> dict:
        """Return the node as plain JSON: all attributes that bear on results, defaults included."""
        written = {}
        for attribute in self._attributes.values():
            value = self.__dict__.get(attribute.name)
            if attribute.semantic and value is not None:
                written[attribute.key] = attribute.type.to_json(value)
        return written

    @classmethod
    def schema(cls, definitions: dict) -> dict:
        """Return a reference to this class's JSON Schema, adding it to `definitions` at the first call."""
        name = f"{cls.__module__.removeprefix('snakefold.')}.{cls.__qualname__}"
        if name not in definitions:
            definitions[name] = {}  # stops the recursion of classes that contain themselves
            caught = [a.type.item.schema(definitions) for a in cls._attributes.values() if a.catches]
            definitions[name] = mapping(
                definitions,
                {a.key: a.schema(definitions) for a in cls._attributes.values()}
                | ({cls.chosen_by: {"type": "string"}} if cls.chosen_by else {}),
                [a.key for a in cls._attributes.values() if a.required is True],
                description=(cls.__doc__ or cls.__name__).strip().split("\n")[0],
                additionalProperties=caught[0] if caught else False,
            )
        return {"$ref": f"#/$defs/{name}"}


def _tables(root: Node, table: str) -> Iterator[dict]:
    """Yield the mappings of nodes that the names of a reference are looked up in, as in "regions or partitions"."""
    for path in table.split(" or "):
        value: object = root
        for step in path.split("."):
            value = getattr(value, step, None)
        if isinstance(value, dict):
            yield value


def _nodes_in(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield from value.walk()
    elif isinstance(value, dict):
        for item in value.values():
            yield from _nodes_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nodes_in(item)


def _check_order(cls: type, first: list[str], second: list[str]) -> None:
    common = [n for n in second if n in first]
    if common != [n for n in first if n in second]:
        raise AttributeOrderError(f"{cls.__name__}: its bases build {listed(common)} in different orders")


def _misspelt(cls: type[Node], key: str, given: dict) -> bool:
    """Return whether a key that could be any, as it would be caught, is more likely one of the node's own, misspelt."""
    absent = [a for a in cls.attributes() if a.key not in given]
    needed = [a.key for a in absent if a.required]
    return bool(nearest(key, needed) or nearest(key, [a.key for a in absent], sure=True))


_OWN_NAMES = frozenset((*vars(Node), *Node.__annotations__))


def _thread(cls: type, inherited: dict[str, Attribute], declared: dict[str, Any]) -> dict[str, Attribute]:
    """Return inherited and declared attributes in build order.

    An override keeps its inherited place; what a class declares after an override follows it, what it declares before
    one precedes it, and what it declares beside none comes last.
    """
    order = list(inherited)
    overrides = [n for n in declared if n in inherited]
    if [n for n in order if n in declared] != overrides:
        raise AttributeOrderError(
            f"{cls.__name__} redeclares {listed(overrides)}, but they are built in the order "
            f"{listed(n for n in order if n in declared)}"
        )
    names = list(declared)
    last = None
    for i, name in enumerate(names):
        if name in inherited:
            last = name
            continue
        following = next((n for n in names[i + 1 :] if n in inherited), None)
        if last is not None:
            order.insert(order.index(last) + 1, name)
            last = name
        elif following is not None:
            order.insert(order.index(following), name)
        else:
            order.append(name)
    merged = inherited | declared
    return {n: merged[n] for n in order if isinstance(merged[n], Attribute)}
