"""A group of commands that knows what its user may have meant."""

from pathlib import Path

import click

from netwright.errors import did_you_mean


class Verbs(click.Group):
    """A group that says "did you mean" when a command's name is mistyped, or when data stand in its place."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            known = self.list_commands(ctx)
            hint = did_you_mean(name, known)
            if not hint and "train" in known and _is_data(name):
                hint = f' (did you mean "{ctx.command_path} train {name}"?)'
            raise click.UsageError(f"{ctx.command_path} has no verb {name!r}{hint}; it has: {', '.join(known)}", ctx)
        return super().resolve_command(ctx, args)


def _is_data(name: str) -> bool:
    """Whether a word is what `train` takes: a data set's or a recipe's name, or a path."""
    from netwright.config.datasets import BUILT_IN
    from netwright.config.library import shipped_recipes

    return name in BUILT_IN or name in shipped_recipes() or Path(name).exists()
