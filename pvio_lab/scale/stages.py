"""The outside of a stage of Ray's LLM processors, for a Ray that has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class StatefulStageUDF:
    """What a stage does with batches."""


class StatefulStage:
    """What a stage does, with which options, and what it needs.

    Args:
        fn: What it does; that of the class when left out.
        fn_constructor_kwargs: The options of `fn`.
        map_batches_kwargs: Those of Ray's `map_batches`.
    """

    fn: Any

    def __init__(
        self,
        *,
        fn: Any = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        map_batches_kwargs: Mapping[str, Any] | None = None,
    ):
        self.fn = fn or self.fn
        self.fn_constructor_kwargs = dict(fn_constructor_kwargs or {})
        self.map_batches_kwargs = dict(
            {"concurrency": 1} if map_batches_kwargs is None else map_batches_kwargs
        )

    def get_required_input_keys(self) -> dict[str, str]:
        """What each row must have, and what that is."""
        return {}

    def get_optional_input_keys(self) -> dict[str, str]:
        """What each row may have, and what that is."""
        return {}

    def get_dataset_map_batches_kwargs(self, batch_size: int, data_column: str) -> dict[str, Any]:
        """Everything that `map_batches` has to be told beside `fn`."""
        options = {
            **self.fn_constructor_kwargs,
            "data_column": data_column,
            "expected_input_keys": list(self.get_required_input_keys()),
        }
        return {**self.map_batches_kwargs, "batch_size": batch_size, "fn_constructor_kwargs": options}
