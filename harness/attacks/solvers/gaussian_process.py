"""A Gaussian process of few points of many dimensions, for TuRBO."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.base.errors import UserError

if TYPE_CHECKING:
    from gpytorch.models import ExactGP

NOISE, LENGTHSCALE, OUTPUTSCALE = (5e-4, 0.2), (0.005, 2.0), (0.05, 20.0)
"""Between what numbers the hyper-parameters are fitted."""
RATE = 0.1


def package() -> Any:
    """The module gpytorch. Raises UserError where it is not installed."""
    try:
        import gpytorch
    except ImportError as error:
        raise UserError("optimizer=turbo needs gpytorch: pip install 'harness[bo]'") from error
    return gpytorch


class GaussianProcess:
    """A constant mean and a scaled Matern 5/2 kernel with a length for every dimension, fitted to x [n, D] in the unit
    cube and y [n], in double precision, by Adam on the marginal likelihood from fixed values on."""

    def __init__(self, x: Tensor, y: Tensor, steps: int) -> None:
        self._gpytorch = package()
        self._model = self._build(x.double(), y.double())
        self._fit(x.double(), y.double(), steps)

    @property
    def lengthscales(self) -> Tensor:
        """Of every dimension [D]."""
        lengths: Tensor = self._model.covar_module.base_kernel.lengthscale.detach()[0]
        return lengths

    @torch.no_grad()
    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [m] and covariance [m, m] of the function, without the noise of observations, at x [m, D]."""
        with self._gpytorch.settings.fast_computations(False, False, False):
            found = self._model(x.double())
            return found.mean, found.covariance_matrix

    def draw(self, x: Tensor, count: int, rng: torch.Generator) -> Tensor:
        """Functions drawn from the posterior, at x [m, D]: [count, m]."""
        from linear_operator.utils.cholesky import psd_safe_cholesky

        mean, covariance = self.posterior(x)
        normal = torch.randn(len(x), count, generator=rng, dtype=torch.float64)
        drawn: Tensor = mean + (psd_safe_cholesky(covariance) @ normal).mT
        return drawn

    def _build(self, x: Tensor, y: Tensor) -> "ExactGP":
        gp = self._gpytorch

        class Model(gp.models.ExactGP):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                noise = gp.constraints.Interval(*NOISE)
                super().__init__(x, y, gp.likelihoods.GaussianLikelihood(noise_constraint=noise))
                length, output = gp.constraints.Interval(*LENGTHSCALE), gp.constraints.Interval(*OUTPUTSCALE)
                kernel = gp.kernels.MaternKernel(2.5, ard_num_dims=x.shape[1], lengthscale_constraint=length)
                self.mean_module = gp.means.ConstantMean()
                self.covar_module = gp.kernels.ScaleKernel(kernel, outputscale_constraint=output)

            def forward(self, points: Tensor) -> Any:
                return gp.distributions.MultivariateNormal(
                    self.mean_module(points), self.covar_module(points)
                )

        model = Model().double()
        model.initialize(
            **{
                "covar_module.outputscale": 1.0,
                "covar_module.base_kernel.lengthscale": 0.5,
                "likelihood.noise": 0.005,
            }
        )
        return model

    def _fit(self, x: Tensor, y: Tensor, steps: int) -> None:
        model, gp = self._model, self._gpytorch
        likelihood = gp.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        adam = torch.optim.Adam(model.parameters(), lr=RATE)
        model.train()
        with torch.enable_grad(), gp.settings.fast_computations(False, False, False):
            for _ in range(steps):
                adam.zero_grad()
                (-likelihood(model(x), y)).backward()
                adam.step()
        model.eval()
