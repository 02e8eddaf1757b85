"""What the tests of the engines share."""

import pytest
import torch


@pytest.fixture(scope="module")
def one_torch_thread():
    """Small tensors gain nothing from threads, and on a busy machine those wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
