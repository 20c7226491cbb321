"""Quantizing a model of transformers that is in memory: block by block, each on what the quantized blocks before it
give (Frantar et al. 2022, arXiv 2210.17323). Knows no architecture: blocks are the longest list of equal modules,
and which layers share an input is seen by running one."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Optional

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

import gptqc
from gptqc import _progress
from gptqc._errors import InvalidArgumentError
from gptqc.torch import QuantLinear
from gptqc.transformers.config import GptqcConfig
from gptqc.transformers.dataset import batches_of, rows_of
from gptqc.transformers.offload import bring_to

# Sizes must be multiples of this for the readers of GPTQ files.
_UNIT = 32


class _Stop(Exception):
    """Ends a forward pass whose rest is of no interest."""


@dataclass
class _Layer:
    name: str  # of the module in the model
    inside: str  # in its block
    linear: nn.Module
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def weight(self) -> torch.Tensor:
        """[N, K]"""
        return self.linear.weight.T if isinstance(self.linear, Conv1D) else self.linear.weight

    @torch.no_grad()
    def set_weight(self, weight: torch.Tensor) -> None:
        self.linear.weight.copy_(weight.T if isinstance(self.linear, Conv1D) else weight)


def find_blocks(model: Any, name: Optional[str]) -> tuple[str, nn.ModuleList]:
    """The decoder's blocks and their name, e.g. "model.layers"."""
    lists = {path: module for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    if name is not None:
        if name not in lists:
            raise InvalidArgumentError(f"block_name_to_quantize: the model has no list {name!r}; it has "
                                       f"{', '.join(lists)}")
        return name, lists[name]
    count = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    fitting = [path for path, module in lists.items() if len(module) == count]
    if not fitting:
        raise InvalidArgumentError("the model's blocks were not found; name them by block_name_to_quantize")
    path = min(fitting, key=lambda path: path.count("."))
    return path, lists[path]


class _Activations:
    """Inputs of the current block for all batches, and the other arguments of every block, which depend on the
    shape of a batch alone."""

    def __init__(self, model: Any, blocks: nn.ModuleList, batches: list[torch.Tensor]) -> None:
        self.hidden: list[torch.Tensor] = []
        self._arguments: dict[tuple[int, ...], list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
        self._shapes = [tuple(batch.shape) for batch in batches]
        device = model.get_input_embeddings().weight.device
        for batch in batches:
            known = tuple(batch.shape) in self._arguments
            seen = self._arguments.setdefault(tuple(batch.shape), [])
            hooks = [block.register_forward_pre_hook(self._hook(index, seen, known), with_kwargs=True)
                     for index, block in enumerate(blocks)]
            try:
                model(input_ids=batch.to(device if device.type != "meta" else "cpu"), use_cache=False)
            except _Stop:
                pass
            finally:
                for hook in hooks:
                    hook.remove()

    def _hook(self, index: int, seen: list[Any], known: bool) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            others = dict(kwargs)
            hidden = args[0] if args else others.pop("hidden_states")
            if index == 0:
                self.hidden.append(hidden)
                if known:
                    raise _Stop
            seen.append((args[1:], others))
        return hook

    def run(self, index: int, block: nn.Module, device: torch.device) -> Iterator[torch.Tensor]:
        """The block's output for each batch."""
        for hidden, shape in zip(self.hidden, self._shapes):
            args, kwargs = _to((self._arguments[shape][index]), device)
            output = block(hidden.to(device), *args, **kwargs)
            yield output[0] if isinstance(output, (tuple, list)) else output


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        return type(value)(_to(item, device) for item in value)
    if isinstance(value, dict):
        return {key: _to(item, device) for key, item in value.items()}
    return value


class _HessianSum:
    """H = 2 / tokens * sum of x x^T on the device of x."""

    def __init__(self) -> None:
        self.sum: Optional[torch.Tensor] = None
        self.tokens = 0

    def hook(self, _: nn.Module, args: tuple[Any, ...]) -> None:
        x = args[0].detach().reshape(-1, args[0].shape[-1]).float()
        if self.sum is None:
            self.sum = torch.zeros(x.shape[1], x.shape[1], device=x.device)
        self.sum.addmm_(x.T, x)
        self.tokens += x.shape[0]

    def matrix(self) -> torch.Tensor:
        assert self.sum is not None
        return self.sum.mul_(2 / self.tokens)


def _stages(layers: list[_Layer], run_one: Callable[[], None], config: GptqcConfig) -> list[list[list[_Layer]]]:
    """The order of quantization: stages, of groups that share an input. With modules_in_block_to_quantize its
    lists are the stages; else, with true_sequential, each group is one."""
    calls: list[tuple[_Layer, torch.Tensor]] = []
    hooks = [layer.linear.register_forward_pre_hook(
        lambda _, args, layer=layer: calls.append((layer, args[0]))) for layer in layers]
    try:
        run_one()
    finally:
        for hook in hooks:
            hook.remove()
    groups: list[tuple[torch.Tensor, list[_Layer]]] = []
    for layer, x in calls:
        if any(layer in group for _, group in groups):
            continue
        same = next((group for tensor, group in groups if tensor is x), None)
        if same is not None:
            same.append(layer)
        else:
            groups.append((x, [layer]))
    found = [group for _, group in groups]
    if config.modules_in_block_to_quantize:
        order = [[names] if isinstance(names, str) else list(names)
                 for names in config.modules_in_block_to_quantize]
        stages = [[[layer for layer in group if layer.inside in names] for group in found] for names in order]
        return [[group for group in stage if group] for stage in stages]
    return [[group] for group in found] if config.true_sequential else [found]


class _Quantizer:
    def __init__(self, model: Any, config: GptqcConfig) -> None:
        self.model, self.config = model, config
        self.prefix, self.blocks = find_blocks(model, config.block_name_to_quantize)
        self.report = _progress.callback(config.progress, "quantize")
        self.done = 0
        self.left_out: list[str] = []
        self.act_dtype = model.dtype if model.dtype in (torch.float16, torch.bfloat16) else torch.float16

    def layers_of(self, index: int, block: nn.Module) -> list[_Layer]:
        wanted = None
        if self.config.modules_in_block_to_quantize:
            wanted = {name for names in self.config.modules_in_block_to_quantize
                      for name in ([names] if isinstance(names, str) else names)}
        layers = []
        for inside, module in block.named_modules():
            if not isinstance(module, (nn.Linear, Conv1D)) or (wanted is not None and inside not in wanted):
                continue
            layer = _Layer(f"{self.prefix}.{index}.{inside}", inside, module)
            options = self.options_of(layer)
            if options is not None:
                layer.options = options
                layers.append(layer)
        return layers

    def options_of(self, layer: _Layer) -> Optional[dict[str, Any]]:
        """None: the layer stays as it is."""
        n, k = layer.weight.shape
        if n % _UNIT or k % _UNIT:
            self.left_out.append(layer.name)
            return None
        options = self.config.solver_options()
        names = {"bits": "bits", "group_size": "group_size", "sym": "sym", "desc_act": "act_order", "mse": "mse",
                 "damp_percent": "damp", "static_groups": "static_groups", "act_group_aware": "act_group_aware"}
        dynamic = self.config.dynamic or {}
        for pattern in dynamic:
            if pattern.startswith("-:") and re.match(pattern[2:], layer.name):
                return None
        for pattern, overrides in dynamic.items():
            if re.match(pattern.removeprefix("+:"), layer.name) and not pattern.startswith("-:"):
                options.update({names[key]: value for key, value in overrides.items() if key in names})
                break
        return options

    def solve(self, layer: _Layer, hessian: torch.Tensor) -> tuple[gptqc.Solution, dict[str, Any]]:
        device = layer.weight.device
        solution = gptqc.solve(layer.weight.detach().float(), hessian,
                               device=str(device) if device.type == "cuda" else "cpu", **layer.options)
        layer.set_weight(torch.from_numpy(solution.dequantize()).to(layer.weight))
        self.done += 1
        if self.report is not None:
            self.report(self.done, self.total, layer.name, solution)
        return solution, solution.tensors(self.config.format)

    def replace(self, layer: _Layer, tensors: dict[str, Any], device: torch.device) -> None:
        bias = layer.linear.bias
        module = QuantLinear.from_tensors(
            tensors, bits=layer.options["bits"], group_size=layer.options["group_size"], bias=bias,
            zeros=self.config.zeros, packing=self.config.packing, act_dtype=self.act_dtype)
        self.model.set_submodule(layer.name, module.to(device))

    def quantize_block(self, index: int, activations: _Activations) -> None:
        config, block = self.config, self.blocks[index]
        device, home = bring_to(block, config.device)
        layers = self.layers_of(index, block)
        results: list[tuple[_Layer, dict[str, Any]]] = []
        def run_one() -> None:
            next(activations.run(index, block, device))

        for stage in _stages(layers, run_one, config):
            sums = [(group, _HessianSum()) for group in stage]
            hooks = [group[0].linear.register_forward_pre_hook(hessian.hook) for group, hessian in sums]
            for _ in activations.run(index, block, device):
                pass
            for hook in hooks:
                hook.remove()
            for group, hessian in sums:
                matrix = hessian.matrix().cpu()
                for layer in group:
                    results.append((layer, self.solve(layer, matrix)[1]))
        activations.hidden = list(activations.run(index, block, device))
        for layer, tensors in results:
            self.replace(layer, tensors, device)
        block.to(home)

    def run(self) -> None:
        config = self.config
        rows = rows_of(config.dataset, self._tokenizer, config.samples, config.model_seqlen)
        batches = batches_of(rows, config.batch_size)
        self.total = sum(len(self.layers_of(index, block)) for index, block in enumerate(self.blocks))
        if self.total == 0:
            raise InvalidArgumentError("no layer is left to quantize; sizes must be multiples of "
                                       f"{_UNIT}, and dynamic must not skip them all")
        self.left_out.clear()
        activations = _Activations(self.model, self.blocks, batches)
        for index in range(len(self.blocks)):
            self.quantize_block(index, activations)
        self._record_left_out()

    def _record_left_out(self) -> None:
        if not self.left_out:
            return
        warnings.warn(f"{len(self.left_out)} layers whose sizes are no multiples of {_UNIT} stay as they are, e.g. "
                      f"{self.left_out[0]}")
        skip = {f"-:^{re.escape(name)}$": {} for name in dict.fromkeys(self.left_out)}
        self.config.dynamic = {**(self.config.dynamic or {}), **skip}

    def _tokenizer(self) -> Any:
        given = self.config.tokenizer or self.model.name_or_path
        if not isinstance(given, str):
            return given
        from transformers import AutoTokenizer
        return AutoTokenizer.from_pretrained(given)


@torch.no_grad()
def quantize_model(model: Any, config: GptqcConfig) -> None:
    """Replaces the linear layers of the model's blocks by quantized ones. `config.dynamic` then also names layers
    that had to stay as they are."""
    training = model.training
    model.eval()
    _Quantizer(model, config).run()
    model.train(training)
