# Users' time is kept by days of UTC, and what several tabs and hosts see of a user counts once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use List::Util qw(max min sum0);
use Test::More;
use Time::Local qw(timegm);

my $redis = redis();
my $script = Heartbeat::Scripts->new(redis => $redis);
my $sites = 0;

sub site { return { site => 'days-' . ++$sites, shards => $sites % 2 ? 1 : 7, timeout => 90_000, gap => 45_000, retention => 3650 * DAY, @_ } }
sub midnight { my ($y, $m, $d) = @_; return 1000 * timegm(0, 0, 0, $d, $m - 1, $y) }
sub date { my @t = gmtime int($_[0] / 1000); return sprintf '%04d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3] }

# All days of a site, as "kind date user" => ms.
sub days {
    my ($site) = @_;
    my %days;
    for my $part (Heartbeat::Scripts::parts($site)) {
        for my $key (grep {/:(open|active):\d{4}/} @{ $script->call('KEYS', "$part*" =~ s/([\[\]?])/\\$1/gr) }) {
            my ($kind, $date) = $key =~ /:(open|active):(.*)\z/;
            my %of = @{ $script->call('ZRANGE', $key, 0, -1, 'WITHSCORES') };
            $days{"$kind $date $_"} = $of{$_} for keys %of;
        }
    }
    return \%days;
}

subtest 'the names of days' => sub {
    # The first and last days of months, leap days, centuries that are leap years and that are not.
    my @days = map { my $y = $_; map { my ($m, $d) = @$_; [ $y, $m, $d ] } [ 1, 1 ], [ 2, 28 ], [ 3, 1 ], [ 7, 31 ], [ 12, 31 ] } 1970, 1999, 2000, 2001, 2026, 2099, 2100, 2101, 2400;
    push @days, map { [ $_, 2, 29 ] } 1972, 2000, 2024, 2028, 2096, 2104, 2400;
    push @days, map { my @t = gmtime($_ * 86_400); [ $t[5] + 1900, $t[4] + 1, $t[3] ] } map { int rand 50_000 } 1 .. 200;
    for (@days) {
        my $noon = midnight(@$_) + DAY / 2;
        my $site = site();
        $script->add($site, entry('a', $noon, $noon + 1000, user => 'u', active_from => $noon + 1, active_to => $noon + 400));
        my $date = sprintf '%04d-%02d-%02d', @$_;
        is_deeply(days($site), { "open $date u" => 1000, "active $date u" => 399 }, $date);
    }
};

subtest 'across midnight' => sub {
    for ([ 1970, 1, 2 ], [ 2000, 2, 29 ], [ 2000, 3, 1 ], [ 2024, 2, 29 ], [ 2026, 1, 1 ], [ 2100, 3, 1 ]) {
        my $midnight = midnight(@$_);
        my ($before, $after) = (date($midnight - 1), date($midnight));
        my $site = site();
        $script->add($site, entry('a', $midnight - 7000, $midnight + 11_000, user => 'u', active_from => $midnight - 300, active_to => $midnight + 1));
        is_deeply(days($site), { "open $before u" => 7000, "open $after u" => 11_000, "active $before u" => 300, "active $after u" => 1 }, "$before to $after");
        $script->add($site, entry('a', $midnight - 7000, $midnight + 12_000, user => 'u'));
        is(days($site)->{"open $after u"}, 12_000, 'and on');
    }
    my $midnight = midnight(2026, 5, 5);
    my $site = site();
    $script->add($site, entry('a', $midnight - 1000, $midnight, user => 'u'), entry('b', $midnight, $midnight + 1, user => 'v'));
    is_deeply(days($site), { 'open 2026-05-04 u' => 1000, 'open 2026-05-05 v' => 1 }, 'midnight itself belongs to the day that begins');
    $site = site();
    $script->add($site, entry('a', $midnight - 1000, $midnight - 1000, user => 'u'));
    $script->add($site, entry('a', $midnight - 1000, $midnight + 5 * DAY, user => 'u'));
    is_deeply(days($site), { 'open 2026-05-04 u' => 1000, map { ("open 2026-05-0$_ u" => DAY) } 5 .. 9 }, 'over many days');
    $site = site();
    $script->add($site, entry('a', $midnight - 30_000, $midnight - 20_000, user => 'u'), entry('a', $midnight + 30_000, $midnight + 40_000, user => 'u'));
    is_deeply(days($site), { 'open 2026-05-04 u' => 30_000, 'open 2026-05-05 u' => 40_000 }, 'a gap that is bridged is cut there as well');
};

subtest 'nobody and nothing' => sub {
    my $site = site();
    my $noon = midnight(2026, 5, 5) + DAY / 2;
    $script->add($site, entry('a', $noon, $noon + 1000), entry('b', $noon, $noon, user => 'lone'));
    is_deeply(days($site), {}, 'sessions without a user and lone signs have no day');
};

subtest 'a user in two tabs counts once' => sub {
    my $noon = midnight(2026, 5, 5) + DAY / 2;
    my $site = site();
    my ($one, $two) = map { $script->other($_) } qw(one two);
    my @tabs = (entry('a', $noon, $noon + 60_000, user => 'u', active_from => $noon, active_to => $noon + 10_000),
        entry('b', $noon + 30_000, $noon + 100_000, user => 'u', active_from => $noon + 40_000, active_to => $noon + 60_000));
    $one->add($site, $tabs[0]);
    $two->add($site, $tabs[1]);
    $one->add($site, $tabs[1]);
    is_deeply(days($site), { 'open 2026-05-05 u' => 100_000, 'active 2026-05-05 u' => 60_000 }, 'however many tabs and hosts');
    is_deeply([ map { $one->session($site, $_)->{open_ms} } qw(a b) ], [ 60_000, 70_000 ], 'each session has its own');
    is_deeply($one->user($site, 'u'), { open_from => $noon, open_to => $noon + 100_000, active_from => $noon, active_to => $noon + 60_000 }, 'one run of the user');
    $one->add($site, entry('c', $noon + 300_000, $noon + 310_000, user => 'u'), entry('d', $noon + 305_000, $noon + 315_000, user => 'v'));
    is_deeply(days($site), { 'open 2026-05-05 u' => 110_000, 'active 2026-05-05 u' => 60_000, 'open 2026-05-05 v' => 10_000 }, 'another run, and another user');
};

subtest 'another user of the same session' => sub {
    my $noon = midnight(2026, 5, 5) + DAY / 2;
    my $site = site();
    $script->add($site, entry('a', $noon, $noon + 10_000, user => 'u'));
    $script->add($site, entry('a', $noon, $noon + 15_000), entry('a', $noon + 20_000, $noon + 50_000, user => 'v'));
    $script->add($site, entry('a', $noon + 20_000, $noon + 60_000));
    is_deeply(days($site), { 'open 2026-05-05 u' => 15_000, 'open 2026-05-05 v' => 40_000 }, 'to each what is his');
    is($script->session($site, 'a')->{open_ms}, 60_000, 'the session goes on');
    is($script->session($site, 'a')->{user}, 'v', 'as the other one');
};

# A user's own hash knows the totals of his latest day; the sorted sets are written from it.
subtest 'what the sorted sets hold' => sub {
    my $noon = midnight(2026, 5, 5) + DAY / 2;
    my $site = site();
    my ($opened, $active) = map { tag($site->{site}, $site->{shards}, 'u') . "$_:2026-05-05" } qw(open active);
    my $signs = sub { my ($to) = @_; entry('a', $noon, $noon + $to, user => 'u', active_from => $noon, active_to => $noon + $to) };
    $script->call('ZADD', $opened, 5000, 'u');
    $script->add($site, $signs->(1000));
    is_deeply(days($site), { 'open 2026-05-05 u' => 6000, 'active 2026-05-05 u' => 1000 }, 'what was there counts on');
    $script->call('DEL', $opened, $active);
    $script->add($site, $signs->(3000), $signs->(4000));
    is_deeply(days($site), { 'open 2026-05-05 u' => 9000, 'active 2026-05-05 u' => 4000 }, 'what was lost is written again');
    cmp_ok($script->call('PTTL', $_), '>', 0, 'and not for ever') for $opened, $active;
    $script->call('DEL', tag($site->{site}, $site->{shards}, 'u') . 'user:u');
    $script->add($site, entry('b', $noon + 200_000, $noon + 201_000, user => 'u'));
    is(days($site)->{'open 2026-05-05 u'}, 10_000, 'of a user who was forgotten');
};

# One batch says something of the latest day, of an earlier one that it says more of, and of the latest again.
subtest 'days in turn' => sub {
    my $midnight = midnight(2026, 5, 5);
    my $site = site();
    $script->add($site, entry('a', $midnight - 300_000, $midnight - 290_000, user => 'u'));
    $script->add($site, entry('a', $midnight - 300_000, $midnight - 285_000, user => 'u'), entry('b', $midnight + 50_000, $midnight + 51_000, user => 'u'),
        entry('c', $midnight - 150_000, $midnight - 149_000, user => 'u'), entry('b', $midnight + 50_000, $midnight + 55_000, user => 'u'));
    is_deeply(days($site), { 'open 2026-05-04 u' => 16_000, 'open 2026-05-05 u' => 5000 }, 'each has what is its own')
        or diag explain days($site);
};

# Users in several sessions, on several hosts, across midnight, in any order: compared day by day.
my $cases = $ENV{HEARTBEAT_CASES} // 1000;
my $seed = $ENV{HEARTBEAT_SEED} // time ^ $$;
srand $seed;
note "HEARTBEAT_SEED=$seed";
my @midnights = map { midnight(@$_) } [ 1970, 1, 2 ], [ 2000, 2, 29 ], [ 2000, 3, 1 ], [ 2026, 1, 1 ], [ 2100, 3, 1 ];

subtest "$cases cases at random" => sub {
    my (@commands, @expected);
    for (1 .. $cases) {
        my $site = site(timeout => 10 + int rand 50);
        my $midnight = $midnights[ rand @midnights ];
        my (%expected, @entries);
        for my $user (qw(u v)) {
            my @points = map { $midnight - 100 + int rand 200 } 1 .. 2 + rand 10;
            my @runs;
            for (sort { $a <=> $b } @points) {
                if (@runs && $_ - $runs[-1][-1] <= $site->{timeout}) { push @{ $runs[-1] }, $_ }
                else { push @runs, [$_] }
            }
            for my $run (@runs) {
                for ([ $midnight - DAY, $midnight ], [ $midnight, $midnight + DAY ]) {
                    my $ms = min($run->[-1], $_->[1]) - max($run->[0], $_->[0]);
                    $expected{ 'open ' . date($_->[0]) . " $user" } += $ms if $ms > 0;
                }
                # Pieces of the run by different sessions, and lone points for whatever they leave out.
                push @entries, map { my ($i, $j) = sort { $a <=> $b } int rand @$run, int rand @$run; entry("$user$_", $run->[$i], $run->[$j], user => $user) } 1 .. 3;
                push @entries, map { entry($user . int rand 3, $_, $_, user => $user) } @$run;
            }
        }
        @entries = List::Util::shuffle(@entries, grep { rand() < 0.3 } @entries);
        while (my @some = splice @entries, 0, 1 + rand 6) {
            push @commands, [ $script->next_batch({ %$site, entries => [ sort { $a->{to} <=> $b->{to} } @some ] }) ];
        }
        push @expected, [ $site, \%expected ];
    }
    my @bad = grep { !$_ || "@$_" ne '1  0 ' } $redis->client->pipeline(@commands);
    is(scalar @bad, 0, scalar(@commands) . ' batches applied') or diag explain $bad[0];
    my %all;
    for my $key (grep {/:open:\d{4}/} @{ $script->call('KEYS', 'hb:{days-*') }) {
        my ($site, $date) = $key =~ m!^hb:\{([^/}]*).*:open:(.*)!;
        my %of = @{ $script->call('ZRANGE', $key, 0, -1, 'WITHSCORES') };
        $all{$site}{"open $date $_"} = $of{$_} for keys %of;
    }
    my @wrong = grep { my ($site, $days) = @$_; my $got = $all{ $site->{site} } // {};
        join(',', map {"$_=$got->{$_}"} sort keys %$got) ne join(',', map {"$_=$days->{$_}"} sort keys %$days) } @expected;
    is(scalar @wrong, 0, 'every day is right') or diag explain $wrong[0], $all{ $wrong[0][0]{site} };
};

done_testing;
