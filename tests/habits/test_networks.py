"""Any network as a prior: what is proved of its run, and what it may not answer."""

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

import proxlab

OP = proxlab.operators.inpaint(np.indices((16, 16)).sum(0) % 3 > 0, noise=0.05)
Y = OP(torch.linspace(0, 1, 16).expand(1, 1, 16, 16), generator=torch.Generator().manual_seed(0))


class Mean(torch.nn.Module):
    """Half the image, half a mean: a symmetric matrix between 0 and 1 times v, and so a prox."""

    def forward(self, v):
        return (v + avg_pool2d(v, 3, 1, 1)) / 2


class Turned(torch.nn.Module):
    """The image moved by a column, which is no prox."""

    def forward(self, v, sigma):
        return v.roll(1, -1)


class Noisy(torch.nn.Module):
    """A network that drops pixels while it is trained."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, v):
        return self.drop(v) / 2


def test_a_certificate_is_of_the_run_and_a_network_that_is_no_prox_gets_none():
    mean = proxlab.restore(Y, OP, Mean(), steps=100)
    assert mean.certified == [True] and mean.evidence[0].margin > 0
    assert mean.evidence[0].value_margin is None  # nobody knows its R
    turned = proxlab.restore(Y, OP, Turned(), steps=100)
    assert not turned.certified[0] and "are those of no prox" in turned.doubts[0]
    assert "by admm with Turned" in repr(turned) and "not certified: " in repr(turned)


def test_a_network_is_set_to_evaluation():
    net = Noisy().train()
    result = proxlab.restore(Y, OP, net, steps=30)
    assert not net.training
    assert torch.equal(result.image, proxlab.restore(Y, OP, net, steps=30).image)


@pytest.mark.parametrize(
    "answer, error, sentence",
    [
        (lambda v: (v, 1), TypeError, "Odd answered with a tuple; .* one tensor of images"),
        (lambda v: {"x": v}, TypeError, "Odd answered with a dict"),
        (lambda v: None, TypeError, "Odd answered with a NoneType"),
        (lambda v: v.repeat(1, 3, 1, 1), ValueError, r"turned images \[1, 1, 16, 16\] into"),
        (lambda v: v.double(), ValueError, "a prior keeps shape and dtype"),
    ],
)
def test_an_answer_that_is_no_image_is_refused(answer, error, sentence):
    class Odd(torch.nn.Module):
        def forward(self, v):
            return answer(v)

    with pytest.raises(error, match=sentence):
        proxlab.restore(Y, OP, Odd(), steps=3)
