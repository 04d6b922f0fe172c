"""A job from its submission to the delivery of its result: validation, queue, quotas."""
