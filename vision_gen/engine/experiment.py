"""A config that has been checked: its system resolved once, its settings typed."""

import dataclasses
import functools

from vision_gen import data, settings
from vision_gen.data.settings import Settings as Data
from vision_gen.engine import defaults, optimizers
from vision_gen.engine import system as systems
from vision_gen.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """What the engine is handed instead of a config.

    Args:
      config: a ConfigDict, from `defaults.experiment` or a run's config.json.

    Attributes:
      system: the System class.
      model, data, train, parallel: typed sections; `model` is of the system's `Settings`.
      players: {name: (system.Player, defaults.Player)}, in the order in which they move.
      init: {attribute: where its weights come from}, without those that stay as drawn.
      allow: patterns of tensors that may be missing or unused in what `init` names.
      origin: {attribute: what is kept of the run that its weights are from}; see `engine.weights`.

    Raises:
      InputError: a field is unknown or missing or of a wrong value; names it and what would be right.
    """

    config: object

    def __post_init__(self):
        config, put = self.config, functools.partial(object.__setattr__, self)
        sections = {"data", "model", "players", "init", "evaluations", "train", "parallel"}
        for name in config:
            known = sections | {"origin"} | {f.name for f in dataclasses.fields(defaults.Run)}
            if name not in known:
                raise InputError(f"config.{name} is unknown{settings.nearest(name, known)}")
        for name in sorted(sections):
            if name not in config:
                raise InputError(f"config.{name} is missing; make configs with `defaults.experiment`")
        run = settings.read(defaults.Run, {k: config[k] for k in config if k not in sections | {"origin"}}, "config")
        put("seed", run.seed)
        put("dtype", run.dtype)
        put("system", systems.load_class(run.system))
        typed = dict(data=Data, model=self.system.Settings, train=defaults.Train, parallel=defaults.Parallel)
        for name, cls in typed.items():
            put(name, settings.read(cls, config[name], f"config.{name}"))
        if self.train.batch_size % self.train.accumulate:
            raise InputError(
                f"config.train.batch_size is {self.train.batch_size}; it must be a multiple of config.train.accumulate, "
                f"{self.train.accumulate}"
            )
        put("players", self._players())
        put("init", self._init())
        put("allow", tuple(config.init.get("allow", ())))
        put("origin", config.get("origin", {}))
        put("evaluations", self._evaluations())

    def _players(self):
        declared, section = systems.players_of(self.system), self.config.players
        named = [player.name for player in declared]
        if sorted(section) != sorted(named):
            raise InputError(f"config.players must be {named}, got {sorted(section)}")
        found = {}
        for player in declared:
            kind = defaults.sections(self.system)[player.name]
            given = settings.read(kind, section[player.name], f"config.players.{player.name}")
            if player.joins:  # All else is the other's.
                given = dataclasses.replace(found[player.joins][1], **dataclasses.asdict(given))
            found[player.name] = player, given
        optimizers.check(found, self.train)
        return found

    def _init(self):
        known, found = systems.networks(self.system), {}
        for name, value in self.config.init.items():
            if name == "allow":
                continue
            if name not in known:
                raise InputError(f"config.init.{name}: no network of {self.config.system}{settings.nearest(name, known)}")
            if not isinstance(value, str):
                raise InputError(f"config.init.{name} must be text, got {value!r}")
            found[name] = value
        chosen = self.system.default_init(self.model)
        found = {name: value or chosen.get(name, "") for name, value in found.items()}
        return {name: value for name, value in ({**chosen, **found}).items() if value}

    def _evaluations(self):
        for name, section in self.config.evaluations.items():
            if name in data.SPLITS or "/" in name:
                raise InputError(
                    f"config.evaluations.{name}: a set must have another name than the splits {data.SPLITS}, "
                    'and no "/" in it'
                )
            if not hasattr(section, "to_dict"):
                raise InputError(f"config.evaluations.{name} must be fields of config.data, got {section!r}")
        return {name: section.to_dict() for name, section in self.config.evaluations.items()}

    def check_data(self, settings):
        """Refuses data without the arrays that the system reads, before any is read.

        Args:
          settings: a `data.Settings`.

        Raises:
          InputError: names the first that is missing or of another shape, and what the data gives.
        """
        given = data.shapes(settings)
        for name, shape in self.system.needs.items():
            found = given[name].shape if name in given else None
            if found is None or len(found) != len(shape) or any(n not in (None, m) for n, m in zip(shape, found)):
                wanted = ", ".join("any" if n is None else str(n) for n in shape)
                hint = f"; {settings.section}.labels=True gives it, of data that has labels" if name == "label" else ""
                raise InputError(
                    f"{settings.section}.name: {self.config.system} reads {name} [{wanted}], but {settings.name} gives "
                    f"{', '.join(f'{n} {s}' for n, s in given.items())}{hint}"
                )

    def network(self, attribute, *, rngs):
        """A network of another run, as `config.origin` describes it: for systems that use one that somebody else trained.

        Args:
          attribute: of this experiment's system; `config.init.<attribute>` names the run.
          rngs: for its weights until those of the run are read.

        Raises:
          InputError: `config.init.<attribute>` names no run, or one without that network.
        """
        other = self.other(attribute)
        origin = self.origin[attribute]
        system = other.system(other, rngs=rngs)
        if not hasattr(system, origin.attribute):
            raise InputError(
                f"config.init.{attribute}: the run {origin.run!r} has no network {origin.attribute!r}"
                f"{settings.nearest(origin.attribute, systems.networks(other.system))}"
            )
        return getattr(system, origin.attribute)

    def other(self, attribute):
        """The experiment of the run that `config.init.<attribute>` names, as far as `config.origin` describes it.

        Raises:
          InputError: it names no run.
        """
        if attribute not in self.origin:
            raise InputError(
                f"config.init.{attribute} must name a run whose network it is, got {self.init.get(attribute, '')!r}"
            )
        origin = self.origin[attribute]
        kinds = defaults.sections(systems.load_class(origin.system)).items()
        players = {name: dict(learning_rate=0.0) if kind is defaults.Player else {} for name, kind in kinds}
        sections = dict(data=origin.data.to_dict(), model=origin.model.to_dict(), players=players)
        return Experiment(defaults.experiment(origin.system, **sections))
