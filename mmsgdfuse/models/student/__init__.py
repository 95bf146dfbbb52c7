"""The student: a small feed-forward network that imitates SGDFuse."""

from mmsgdfuse.models.student.network import StudentNet

__all__ = ['StudentNet']
