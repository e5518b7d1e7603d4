"""The page of --html."""


def render(reports, gpu: str) -> str:
    raise NotImplementedError
