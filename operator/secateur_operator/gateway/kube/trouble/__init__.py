"""Why a Job does not get on, from the Job, its pods and their events: what, where, the remedy. Pure."""

from secateur_operator.gateway.kube.trouble.find import find, unexplained
from secateur_operator.gateway.kube.trouble.waiting import Sight

__all__ = ["Sight", "find", "unexplained"]
