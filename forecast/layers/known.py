"""What is known of the rows to forecast: inputs in units of their training rows, and their products in pairs.

    ũ = clip((u - m) / s, ±8)      v(u) = [ũ_i, ũ_i ũ_j for i ≤ j]  (products up to MOST inputs)

Shapes: inputs (… K); v (… size). m and s are set with the closed form (`forecast.models.closed_form`), 0 and 1 before that; an input
that never changes there is 0.
"""

import torch
from torch import Tensor, nn

MOST = 24  # inputs, of which products are taken
BOUND = 8.0  # spreads: what lies farther out is taken for this


class KnownInputs(nn.Module):
    """Units of the inputs, and the functions of them that the closed form weighs."""

    loc: Tensor
    scale: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("loc", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(inputs, dtype=torch.float64))
        first, second = torch.triu_indices(inputs, inputs).unbind(0) if inputs <= MOST else torch.zeros(2, 0).long()
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    @property
    def size(self) -> int:
        """Functions of the inputs."""
        return self.inputs + len(self.first)

    def fit(self, inputs: Tensor) -> None:
        """Take the units from rows of inputs (N K)."""
        rows = inputs.double()
        if len(rows) == 0:
            return
        spread = rows.std(0, correction=0)
        self.loc.copy_(rows.mean(0))
        self.scale.copy_(torch.where(spread > 1e-12 * rows.abs().amax(0), 1 / spread.clamp(min=1e-150), 0.0))

    def standardise(self, inputs: Tensor) -> Tensor:
        """ũ (… K)."""
        made: Tensor = ((inputs.double() - self.loc) * self.scale).clamp(-BOUND, BOUND)
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """v (… size) of raw inputs (… K)."""
        u = self.standardise(inputs)
        return torch.cat([u, u[..., self.first] * u[..., self.second]], -1)

    def weighed(self, weight: Tensor, standardised: Tensor) -> Tensor:
        """v weight (…) of ũ (… K), weight (size) or (C size) with ũ (… C H K): the products are never laid out."""
        linear, pairs = weight[..., : self.inputs], weight[..., self.inputs :]
        matrix = weight.new_zeros(*weight.shape[:-1], self.inputs, self.inputs)
        matrix[..., self.first, self.second] = pairs
        made: Tensor = ((standardised @ matrix + linear[..., None, :]) * standardised).sum(-1)
        return made
