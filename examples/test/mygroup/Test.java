package mygroup;

/** The one class of the dependency {@code test.jar}. */
public final class Test {

    public static String greeting() {
        return "greetings from test.jar";
    }

    private Test() {}
}
