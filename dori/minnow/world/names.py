"""The names that titles are made of, three to a title."""

NAMES = """
amber anchor apollo april arctic arrow ash aurora autumn avalon bamboo basil beacon birch bishop
blossom border breeze bridge bristol canyon captain carnival castle cedar chapel cherry cinder
clover cobalt comet copper coral corner cotton crystal daisy dakota dawn delta desert diamond
dragon dream dune eagle ebony echo eden elm ember empire evening falcon fern festival field fire
forest fortune fox frost garden ghost giant ginger glacier golden grove gentle harbor harvest
haven hazel hermit hollow honey horizon indigo island ivory ivy jade jasmine jester juniper
jupiter king lagoon lantern laurel legend lemon liberty lily linen lotus lunar magic magnolia
manor maple marble meadow memory mercury merlin midnight mirror misty monarch morning mosaic
mountain mystic nebula neptune nomad north oasis ocean olive onyx opal orchard orchid orion palace
palm panther paper pearl pepper phoenix pilot pine planet poet polar poppy prairie prince quartz
queen quiet rain raven republic river robin rocket royal ruby saffron sage sailor salt sapphire
saturn scarlet shadow shore silent silver sky snow solar song spark spirit spring stone storm
summer sunset swan temple thunder tiger timber topaz tower tulip twilight valley velvet venus
violet wander willow wind winter wolf wonder zenith zephyr
""".split()
