"""The words of the generated world, some five hundred and fifty, each one token: text is words joined by single spaces, marks too.

So small a lexicon keeps the embedding of a two-million-parameter model cheap, makes every rule exact (a word is in a class or it
is not) and lets text, prompts, answers and gold agree on what a token is. Nothing the world writes is outside `vocabulary()`.
"""

from functools import cache


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VILLAGERS = _words(
    """abel ada agnes albert alma amos anna arno basil berta boris bruno cara cecil clara cora cyril dana david dora edgar edith
    elena elias emma erik esther fabian felix flora frank frida georg gerda greta gustav hanna harald heidi henry hilda hugo ida
    igor irma isaac ivan jacob jana johan julia karl karin klara konrad lara leo lena linus lotte lucas magda marta mathis"""
)
STRANGERS = _words(
    """milo mina moritz nadia nora norman oscar olga otto paula peter petra philip quinn ralf rita robert rosa rudi samuel sara
    selma simon sofia stefan tessa theo thomas tilda tobias ulla ursula valerie victor wanda werner xenia yara yves zora"""
)
PLACES = _words(
    """mill farm harbor tower inn chapel market bridge castle forest well barn school library garden cave hill lake meadow quarry
    orchard lighthouse stable workshop"""
)
JOBS = _words(
    """baker miller farmer fisher smith weaver tailor potter carpenter painter singer teacher doctor hunter shepherd gardener sailor
    cook mason judge brewer guard writer dancer"""
)
ANIMALS = _words(
    """cat dog cow horse pig goat sheep hen duck goose fox wolf bear deer rabbit mouse hawk crow swan frog toad snake turtle fish
    bee bat moth lion tiger camel monkey parrot"""
)
FOODS = _words(
    """bread cheese soup honey butter rice corn beans plums pears apples grapes cherries nuts eggs milk cake pie salt cabbage
    carrots jam porridge mushrooms"""
)
COLORS = _words("red blue yellow white black green orange purple pink gray brown gold silver violet crimson teal")
PAINTS = COLORS[:8]
"""The colors that are mixed."""
THINGS_TO_PAINT = _words("door window chair table box bag hat coat house")
DIGITS = tuple("0123456789")
TOOLS = _words(
    """candle bone feather ash mirror needle root stone rope key bell ring brush paper bucket spoon basket ribbon hammer lamp kettle
    ladder blanket drum"""
)
FOREIGN = _words(
    """ako bilu cemi dopa efu gari heno iku jola kemu lipo mavi nuko opi pelu quri rako sefi tuma uvo velo wimu xaro yeki zilo bago
    celu dimo fenu gupi hako jemi kulo lavu meki nopa poki ruma sivu tego"""
)
CLASSES: dict[str, tuple[str, ...]] = {
    "animals": ANIMALS,
    "foods": FOODS,
    "colors": COLORS,
    "jobs": JOBS,
    "places": PLACES,
    "tools": TOOLS,
}
CLASS_OF = {word: name for name, words in CLASSES.items() for word in words}
TRANSLATED = (*ANIMALS[:16], *FOODS[:12], *COLORS[:12])
"""The words that the second language has."""

CURSES = _words("curse enchant bewitch hex")
DEEDS = _words("feed wash paint draw")
BEINGS = _words("neighbor king dragon ghost giant witch")

MOODS: dict[str, tuple[str, ...]] = {
    "happy": ("smile", "laugh", "cheer"),
    "sad": ("cry", "weep", "mourn"),
    "scary": ("scream", "shiver", "tremble"),
    "quiet": ("sleep", "rest", "dream"),
}
ADJECTIVES = _words("old young small tall kind proud brave clever hungry tired lost strange")
TIMES = _words("morning evening day night summer winter")
OTHER = _words("""
. , ! ? : a the this that these it they you i me my your of in on at to from with for and so as then is are was am do does did
not can could would will must has have give gives get make take takes goes comes see look find finds live lives work works like
likes wear wears want wants say tell ask asks write read know think show bring meets walks waits hears follows please kindly
thank sorry dear friend help good question happy hope nice now fool hurry quick once again what where who how many much there
here all some one more first last name names list animals foods colors jobs places digits order sort sorted low high up down
count times together mix language village second translate page story short sentence sum tale ending end home job pet food color
kind wonderful answer door window way hat coat chair letter table box bag road house people only also very too about into near
after soon polite politely rewrite nicely magic need use let thing things morning sun wind snow river falls shines word same
other line animal hear them
""")


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word the world can write, each once, in a fixed order."""
    words = (
        *OTHER, *VILLAGERS, *STRANGERS, *PLACES, *JOBS, *ANIMALS, *FOODS, *COLORS, *DIGITS, *TOOLS, *FOREIGN, *CURSES, *DEEDS,
        *BEINGS, *(word for words in MOODS.values() for word in words), *MOODS, *ADJECTIVES, *TIMES,
    )  # fmt: skip
    return tuple(dict.fromkeys(words))
