package headrace.examples;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The arguments of a job: {@code -name value} or {@code --name value}, with as many values as follow the name. */
final class Args {

    private final Map<String, List<String>> values = new LinkedHashMap<>();

    Args(String... args) {
        List<String> current = new ArrayList<>();
        for (String arg : args) {
            if (arg.matches("--?[A-Za-z].*")) {
                current = new ArrayList<>();
                values.put(arg.replaceFirst("^--?", ""), current);
            } else {
                current.add(arg);
            }
        }
    }

    List<String> all(String name) {
        return values.getOrDefault(name, Collections.emptyList());
    }

    String get(String name, String fallback) {
        return all(name).isEmpty() ? fallback : all(name).get(0);
    }

    String require(String name) {
        if (all(name).isEmpty()) {
            throw new IllegalArgumentException("The argument --" + name + " is missing");
        }
        return all(name).get(0);
    }

    long number(String name, long fallback) {
        return Long.parseLong(get(name, Long.toString(fallback)));
    }

    double decimal(String name, double fallback) {
        return Double.parseDouble(get(name, Double.toString(fallback)));
    }
}
