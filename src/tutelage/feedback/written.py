"""What people wrote, taken out of annotations: demonstrations to imitate, prompts to ask, and edits as pairs.

Source: InstructGPT (Ouyang et al. 2022), section 3.2. A corrected response serves twice: as a demonstration, and as a preference over what
it corrects. Annotations of other tasks are passed over, so the whole of a store may be given. Everything keeps its writer's pseudonym
(`by`), so that what was made from whom stays known.
"""

from collections.abc import Iterable, Iterator

from tutelage.core.text import Demonstration, Message, Prompt, Response
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.tasks.demonstration import Demonstration as Written
from tutelage.feedback.tasks.edit import Edit
from tutelage.feedback.tasks.pair import Pair
from tutelage.feedback.tasks.prompt import Prompt as WrittenPrompt


def demonstrations(annotations: Iterable[Annotation]) -> Iterator[Demonstration]:
    """Answers that people wrote, or corrected (a response that was left as it is counts too: somebody found nothing to correct).
    UserError names an annotation whose answer isn't right."""
    for annotation in annotations:
        answer = _written(annotation)
        if isinstance(answer, Written | Edit):
            yield Demonstration(annotation.prompt, Response(answer.text, by=annotation.annotator))


def prompts(annotations: Iterable[Annotation]) -> Iterator[Prompt]:
    """Prompts that people wrote, as one user turn. Tags: kind, by, and use_case where there is one. UserError as above."""
    for annotation in annotations:
        answer = _written(annotation)
        if isinstance(answer, WrittenPrompt):
            about = {"use_case": answer.use_case} if answer.use_case else {}
            yield Prompt((Message("user", (answer.text,)),), {"kind": answer.kind, "by": annotation.annotator, **about})


def edits(annotations: Iterable[Annotation]) -> Iterator[Annotation]:
    """Pairs of (corrected, original) that the corrected one wins; an edit that changed no more than blanks around the text is none.
    Writer, weight, guideline, aspect and times are those of the edit; so are the original's flags. UserError as above."""
    for annotation in annotations:
        answer = _written(annotation)
        if not isinstance(answer, Edit):
            continue
        original = annotation.responses[answer.response]
        if answer.text.strip() != original.text.strip():
            yield _pair(annotation, answer, original)


def _written(annotation: Annotation) -> tasks.Answer | None:
    return tasks.answer_of(annotation) if annotation.task in ("demonstration", "edit", "prompt") else None


def _pair(annotation: Annotation, answer: Edit, original: Response) -> Annotation:
    return Annotation(
        prompt=annotation.prompt,
        responses=(Response(answer.text, by=annotation.annotator), original),
        task="pair",
        answer=Pair(0).to_answer(),
        annotator=annotation.annotator,
        weight=annotation.weight,
        guideline=annotation.guideline,
        seconds=annotation.seconds,
        at=annotation.at,
        flags=tuple((1, flag) for place, flag in annotation.flags if place == answer.response),
        aspect=annotation.aspect,
    )
