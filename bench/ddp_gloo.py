"""Fit a line on all ranks of a run at once, with PyTorch's DistributedDataParallel over gloo.

    spice-tui run --distributed 2 --pip torch python bench/ddp_gloo.py

Nothing in here is ours: it runs under torchrun as it is. Each rank learns from its own share of
the data, the gradients are averaged, and rank 0 keeps the model.
"""

import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

STEPS = int(os.environ.get("STEPS", "60"))


def main() -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()

    # The same points on every rank, of which each takes every world-th.
    torch.manual_seed(7)
    inputs = torch.linspace(-1, 1, 256).unsqueeze(1)
    targets = 3 * inputs + 0.5 + 0.01 * torch.randn_like(inputs)
    inputs, targets = inputs[rank::world], targets[rank::world]

    torch.manual_seed(rank)  # different weights; DDP begins with those of rank 0
    model = DistributedDataParallel(torch.nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        if step % 20 == 0 or step == STEPS - 1:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)

    weight, bias = model.module.weight.item(), model.module.bias.item()
    print(f"rank {rank} of {world}: y = {weight:.2f} x + {bias:.2f}", flush=True)
    if rank == 0:
        torch.save(model.module.state_dict(), "line.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
